"""A number of places for what a process does at a time, shared fairly by groups such as runs.

Nothing ever waits for a place, so that nothing can wait for ever. A group always gets its first
place, also above the limit: every group goes on. If it asks for another one and there is none, the
place comes later: a place that becomes free goes to the group that has the fewest, by a call of the
function that the group was made with. And groups that have more than their share give places up
when others have asked for one.
"""

from __future__ import annotations

from collections.abc import Callable

from .gevent_patch import is_patched, new_lock

DEFAULT_THREADS = 200
"""Places if each of them is for a thread of the operating system."""
DEFAULT_GREENLETS = 10_000
"""Places if gevent has replaced threads by greenlets."""


class Places:
    """The places of a process. Thread-safe.

    Args:
        limit: how many there are; ``None``: as many as suit threads, or greenlets under gevent.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._lock = new_lock()
        self._taken = 0
        self._groups = 0  # that have a place
        # The groups that have asked for a place, in order.
        self.refused: dict[PlaceGroup, None] = {}

    @property
    def limit(self) -> int:
        """How many places there are."""
        # Not decided before it is needed: with --preload, gevent patches later.
        return self._limit or (DEFAULT_GREENLETS if is_patched() else DEFAULT_THREADS)

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    def group(self, start: Callable[[], bool]) -> PlaceGroup:
        """Return a new group.

        Args:
            start: called, on any thread, when the group gets a place that it was refused before;
                returns whether it uses the place.
        """
        return PlaceGroup(self, start)

    def take(self, group: PlaceGroup) -> bool:
        """Take a place for a group if it may have one now; else note that it has asked."""
        with self._lock:
            if group.count and self._taken >= self.limit:
                self.refused[group] = None
                return False
            self._add(group)
            return True

    def release(self, group: PlaceGroup) -> None:
        """Release a place of a group, for another one that has asked."""
        with self._lock:
            self._remove(group)
            next_group = self._next()
        self._hand_over(next_group)

    def give_up(self, group: PlaceGroup) -> bool:
        """Release a place if the group has more than its share; return whether it has.

        The group keeps at least one.
        """
        with self._lock:
            share = max(1, self.limit // max(1, self._groups))
            if not self.refused or group.count <= share:
                return False
            if group.count <= min(each.count for each in self.refused) + 1:
                return False  # it would only change the order
            self._remove(group)
            next_group = self._next()
        self._hand_over(next_group)
        return True

    def _hand_over(self, group: PlaceGroup | None) -> None:
        """Have a group use the place that was taken for it, or the next one if it cannot."""
        while group is not None and not group.start():
            with self._lock:
                self._remove(group)
                group = self._next()

    def _next(self) -> PlaceGroup | None:
        """Take a free place for the group that has asked and has the fewest, if there is one."""
        if not self.refused or self._taken >= self.limit:
            return None
        group = min(self.refused, key=lambda each: each.count)
        del self.refused[group]
        self._add(group)
        return group

    def _add(self, group: PlaceGroup) -> None:
        self._groups += not group.count
        group.count += 1
        self._taken += 1

    def _remove(self, group: PlaceGroup) -> None:
        group.count -= 1
        self._taken -= 1
        self._groups -= not group.count


class PlaceGroup:
    """The places of one group. Made by :meth:`Places.group`.

    Attributes:
        start: see :meth:`Places.group`.
        count: how many places it has.
    """

    def __init__(self, places: Places, start: Callable[[], bool]) -> None:
        self._places = places
        self.start = start
        self.count = 0

    def take(self) -> bool:
        """Take a place; false: there is none now, and ``start`` is called when there is one."""
        return self._places.take(self)

    def release(self) -> None:
        """Release a place."""
        self._places.release(self)

    def give_up(self) -> bool:
        """Release a place if others have asked for one and have fewer; return whether it did."""
        # Asked after every case: without the lock as long as nobody was refused.
        return bool(self._places.refused) and self._places.give_up(self)

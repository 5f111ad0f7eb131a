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

    Attributes:
        lock: held while the others, and those of groups, are changed.
        taken: how many places are taken.
        groups: how many groups have a place.
        refused: the groups that have asked for a place, in order.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.lock = new_lock()
        self.taken = 0
        self.groups = 0
        self.refused: dict[PlaceGroup, None] = {}

    @property
    def limit(self) -> int:
        """How many places there are."""
        # Not decided before it is needed: with --preload, gevent patches later.
        return self._limit or (DEFAULT_GREENLETS if is_patched() else DEFAULT_THREADS)

    def group(self, start: Callable[[], bool]) -> PlaceGroup:
        """Return a new group.

        Args:
            start: called, on any thread, when the group gets a place that it was refused before;
                returns whether it uses the place.
        """
        return PlaceGroup(self, start)


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
        places = self._places
        with places.lock:
            if self.count and places.taken >= places.limit:
                places.refused[self] = None
                return False
            self._add()
            return True

    def release(self) -> None:
        """Release a place, for another group that has asked."""
        with self._places.lock:
            next_group = self._remove()
        _use(next_group)

    def give_up(self) -> bool:
        """Release a place if others have asked for one and have fewer; return whether it did.

        The group keeps at least its share, and at least one.
        """
        places = self._places
        if not places.refused:  # asked after every case: usually without the lock
            return False
        with places.lock:
            share = max(1, places.limit // max(1, places.groups))
            if not places.refused or self.count <= share:
                return False
            if self.count <= min(each.count for each in places.refused) + 1:
                return False  # it would only change the order
            next_group = self._remove()
        _use(next_group)
        return True

    def _add(self) -> None:
        self._places.groups += not self.count
        self._places.taken += 1
        self.count += 1

    def _remove(self) -> PlaceGroup | None:
        """Take a place away, and return the group that gets one instead; ``None``: none does.

        Of the groups that have asked, it is the one that has the fewest.
        """
        places = self._places
        self.count -= 1
        places.taken -= 1
        places.groups -= not self.count
        if not places.refused or places.taken >= places.limit:
            return None
        group = min(places.refused, key=lambda each: each.count)
        del places.refused[group]
        group._add()
        return group


def _use(group: PlaceGroup | None) -> None:
    """Have a group use the place that it has got, or the next one if it cannot."""
    while group is not None and not group.start():
        with group._places.lock:
            group = group._remove()

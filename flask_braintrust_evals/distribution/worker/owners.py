"""Keeps what a worker process has received from the owners of runs."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from flask_braintrust_evals.distribution.messaging.notices import AttemptKey

MAX_REMEMBERED = 10_000
"""Runs that are over, and attempts that are not wanted, that are remembered."""
ASK_AGAIN = 0.3
"""Seconds without an answer after which an owner is asked again: a process that has just begun may
not listen yet when the first answer is sent. Each further time takes twice as long."""
MAX_ASK_AGAIN = 5.0

K = TypeVar("K", bound=Hashable)


class _Remembered(Generic[K]):
    """The last things of a kind."""

    def __init__(self) -> None:
        self._items: OrderedDict[K, None] = OrderedDict()

    def add(self, items: Iterable[K]) -> None:
        for item in items:
            self._items[item] = None
        while len(self._items) > MAX_REMEMBERED:
            self._items.popitem(last=False)

    def remove(self, items: Iterable[K]) -> None:
        for item in items:
            self._items.pop(item, None)

    def __contains__(self, item: K) -> bool:
        return item in self._items


class Owners:
    """The owners of runs, by what their notices say. Thread-safe.

    Args:
        lease: seconds without a notice after which an owner is taken to be gone.
        ask: asks an owner whether an attempt may start.
    """

    def __init__(self, lease: float, ask: Callable[[str, AttemptKey], None]) -> None:
        self._lease = lease
        self._ask = ask
        self._changed = threading.Condition()
        self._heard_at: OrderedDict[str, float] = OrderedDict()
        self._silent_since: dict[str, float] = {}
        self._over: _Remembered[str] = _Remembered()
        self._unwanted: _Remembered[AttemptKey] = _Remembered()
        self._allowed: _Remembered[AttemptKey] = _Remembered()

    def take(self, notice: Mapping[str, Any]) -> Collection[str]:
        """Take a notice; return the runs that it says are over."""
        over = {*notice["over"]}
        with self._changed:
            owner = notice["owner"]
            self._heard_at[owner] = time.monotonic()
            self._silent_since.pop(owner, None)
            self._heard_at.move_to_end(owner)
            while len(self._heard_at) > MAX_REMEMBERED:
                self._heard_at.popitem(last=False)
            self._over.add(over)
            self._unwanted.add(map(_key, notice["drop"]))
            self._allowed.add(map(_key, notice["go"]))
            self._changed.notify_all()
        return over

    def is_gone(self, owner: str) -> bool:
        """Return whether an owner was not heard of for the lease."""
        return time.monotonic() - self._heard_at.get(owner, -self._lease) > self._lease

    def wants(self, attempt: AttemptKey) -> bool:
        """Return whether an attempt is still wanted, as far as is known."""
        with self._changed:
            return attempt[0] not in self._over and attempt not in self._unwanted

    def allow(
        self, owner: str, attempts: list[AttemptKey], ask: bool
    ) -> Collection[AttemptKey] | None:
        """Return which attempts may start. May wait for the lease.

        Args:
            owner: whose they are.
            attempts: all of one order.
            ask: whether to ask also if the owner was heard of: the order may be an old one.

        Returns:
            those attempts; ``None``: the owner did not answer.
        """
        if ask or self.is_gone(owner):
            # It was asked lately, and did not answer: its other orders need not wait as long.
            silent_since = self._silent_since.get(owner)
            if silent_since is not None and time.monotonic() - silent_since < self._lease:
                return None
            # An answer is for one start: one of before was for another message with this attempt.
            with self._changed:
                self._allowed.remove(attempts)
            if not self._ask_until_answered(owner, attempts):
                return None
            attempts = [each for each in attempts if each in self._allowed]
        return [each for each in attempts if self.wants(each)]

    def _ask_until_answered(self, owner: str, attempts: list[AttemptKey]) -> bool:
        """Return whether an owner has answered within the lease."""
        ends = time.monotonic() + self._lease
        pause = ASK_AGAIN
        while (left := ends - time.monotonic()) > 0:
            for each in [each for each in attempts if not self._is_answered(each)]:
                self._ask(owner, each)
            with self._changed:
                if self._changed.wait_for(
                    lambda: all(map(self._is_answered, attempts)), min(pause, left)
                ):
                    return True
            pause = min(pause * 2, MAX_ASK_AGAIN)
        with self._changed:
            if self.is_gone(owner):
                self._note_silent(owner)
        return False

    def _is_answered(self, attempt: AttemptKey) -> bool:
        return attempt in self._allowed or attempt in self._unwanted or attempt[0] in self._over

    def _note_silent(self, owner: str) -> None:
        now = time.monotonic()
        for each in [o for o, at in self._silent_since.items() if now - at > self._lease]:
            del self._silent_since[each]
        self._silent_since[owner] = now


def _key(value: Any) -> AttemptKey:
    run, number, attempt = value
    return run, number, attempt

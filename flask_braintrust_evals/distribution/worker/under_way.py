"""The attempts that a worker process has under way: those that run, and those that wait here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.distribution.messaging.notices import AttemptKey
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, RunOrder

WAITING_SECONDS = 1.0
"""Seconds after which cases no longer wait for one of their order. Cases are ordered together where
those of a run before them were quick."""


class CaseLine:
    """The cases of one order, which run one after another. Thread-safe.

    Args:
        order: the order of their run.
        cases: the cases.

    Attributes:
        order: see above.
    """

    def __init__(self, order: RunOrder, cases: Iterable[CaseOrder]) -> None:
        self.order = order
        self._lock = new_lock()
        self._waiting = deque(cases)
        self._began = time.monotonic()

    def __iter__(self) -> Iterator[CaseOrder]:
        """Yield each case when it is to run: the one before it is done then."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                case = self._waiting.popleft()
                self._began = time.monotonic()
            yield case

    def take_waiting(self) -> list[CaseOrder]:
        """Return the cases that have waited for too long; they do not run here any more."""
        with self._lock:
            if time.monotonic() - self._began < WAITING_SECONDS:
                return []
            taken = list(self._waiting)
            self._waiting.clear()
            return taken


class UnderWay:
    """The attempts that a worker process has under way. Thread-safe.

    Attributes:
        attempts: the owner of each attempt.
    """

    def __init__(self) -> None:
        self._lock = new_lock()
        self.attempts: dict[AttemptKey, str] = {}
        self._lines: set[CaseLine] = set()

    def __len__(self) -> int:
        return len(self.attempts)

    def begin(self, order: RunOrder, cases: Iterable[CaseOrder]) -> list[CaseOrder]:
        """Add cases, and return them without those that are under way already."""
        with self._lock:
            new = [case for case in cases if key_of(order, case) not in self.attempts]
            self.attempts.update((key_of(order, case), order.owner) for case in new)
            return new

    def end(self, order: RunOrder, cases: Iterable[CaseOrder]) -> None:
        """Remove cases."""
        with self._lock:
            for case in cases:
                self.attempts.pop(key_of(order, case), None)

    @contextmanager
    def line(self, order: RunOrder, cases: Iterable[CaseOrder]) -> Iterator[CaseLine]:
        """Yield cases as a line, which :meth:`take_waiting` knows inside of the block."""
        line = CaseLine(order, cases)
        with self._lock:
            self._lines.add(line)
        try:
            yield line
        finally:
            with self._lock:
                self._lines.discard(line)

    def take_waiting(self) -> list[tuple[str, AttemptKey]]:
        """Remove the cases that have waited for too long, and return them with their owners."""
        with self._lock:
            lines = [*self._lines]
        taken = [(line.order, case) for line in lines for case in line.take_waiting()]
        for order, case in taken:
            self.end(order, [case])
        return [(order.owner, key_of(order, case)) for order, case in taken]

    def by_owner(self) -> dict[str, list[AttemptKey]]:
        """Return the attempts of each owner."""
        found: dict[str, list[AttemptKey]] = {}
        with self._lock:
            for key, owner in self.attempts.items():
                found.setdefault(owner, []).append(key)
        return found


def key_of(order: RunOrder, case: CaseOrder) -> AttemptKey:
    """Return what names an attempt at a case."""
    return order.run, case.number, case.attempt

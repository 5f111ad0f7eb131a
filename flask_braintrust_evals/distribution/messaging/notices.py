"""Notices: messages of the owner of runs to all workers."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from flask_braintrust_evals.concurrency.gevent_patch import new_lock

AttemptKey = tuple[str, int, int]
"""The id of a run, the number of a case, and the attempt at it."""

MAX_OVER = 1000
"""Runs that ended lately and are named again."""


class NoticeBoard:
    """Collects what the next notice says. Thread-safe.

    Args:
        owner: the name of the owner's queue.
        repeat_for: seconds for which the end of a run is repeated.
    """

    def __init__(self, owner: str, repeat_for: float) -> None:
        self._owner = owner
        self._repeat_for = repeat_for
        self._lock = new_lock()
        self._over: OrderedDict[str, float] = OrderedDict()
        self._go: list[AttemptKey] = []
        self._drop: list[AttemptKey] = []
        self._who = False

    def run_is_over(self, run: str) -> None:
        """Say that a run has ended."""
        with self._lock:
            self._over[run] = time.monotonic()
            self._over.move_to_end(run)
            while len(self._over) > MAX_OVER:
                self._over.popitem(last=False)

    def answer(self, attempt: AttemptKey, may_start: bool) -> None:
        """Answer a worker that asks whether to start an attempt."""
        with self._lock:
            (self._go if may_start else self._drop).append(attempt)

    def drop(self, attempt: AttemptKey) -> None:
        """Say that an attempt is not wanted any more."""
        self.answer(attempt, may_start=False)

    def ask_who(self) -> None:
        """Ask all workers to say hello."""
        with self._lock:
            self._who = True

    @property
    def is_needed(self) -> bool:
        """Whether the next notice has anything to say."""
        with self._lock:
            self._forget()
            return bool(self._over or self._go or self._drop or self._who)

    def take(self) -> dict[str, Any]:
        """Return the notice to send now. What is said once is not returned again."""
        with self._lock:
            self._forget()
            notice = {
                "owner": self._owner,
                "over": list(self._over),
                "go": self._go,
                "drop": self._drop,
                "who": self._who,
            }
            self._go, self._drop, self._who = [], [], False
            return notice

    def give_back(self, notice: dict[str, Any]) -> None:
        """Say again, with the next notice, what one says that could not be sent."""
        with self._lock:
            self._go, self._drop = notice["go"] + self._go, notice["drop"] + self._drop
            self._who = self._who or notice["who"]

    def _forget(self) -> None:
        limit = time.monotonic() - self._repeat_for
        while self._over and next(iter(self._over.values())) < limit:
            self._over.popitem(last=False)

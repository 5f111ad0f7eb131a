"""Keeps what the owner of runs knows of worker processes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from flask_braintrust_evals.distribution.messaging.transport import WorkerInfo

HEARD_LATELY = 60.0
"""Seconds for which a process that was heard of is taken to be there."""


class KnownWorkers:
    """The processes that were heard of lately. Its caller holds a lock while it calls.

    Attributes:
        heard_at: when any process was last heard of, by ``time.monotonic()``.
    """

    def __init__(self) -> None:
        self.heard_at = -math.inf
        self._heard_at: dict[str, float] = {}
        self._info: dict[str, tuple[float, WorkerInfo]] = {}
        self._known_since: dict[str, float] = {}
        self._idle_since: dict[str, float] = {}
        self._forgot_at = time.monotonic()

    def note(self, process: str) -> bool:
        """Note that a process was heard of; return whether it has not said hello yet."""
        now = time.monotonic()
        self.heard_at = self._heard_at[process] = now
        if now - self._forgot_at > HEARD_LATELY:
            self._forget(now)
        return process not in self._info

    def note_hello(self, info: WorkerInfo) -> None:
        """Note what a process says of itself."""
        now = time.monotonic()
        self._info[info.process] = now, info
        self._known_since.setdefault(info.process, now)
        if info.busy < info.slots:
            self._idle_since.setdefault(info.process, now)
        else:
            self._idle_since.pop(info.process, None)

    def note_busy(self, process: str) -> None:
        """Note that a process starts a case."""
        self._idle_since.pop(process, None)

    def said_hello_since(self, began: float) -> list[WorkerInfo]:
        """Return what those processes say that have said hello since a time."""
        return [info for at, info in self._info.values() if at >= began]

    def slots(self) -> int:
        """Return how many cases all processes run at a time, as far as they have said."""
        limit = time.monotonic() - HEARD_LATELY
        return sum(
            info.slots
            for process, (_, info) in self._info.items()
            if self._heard_at.get(process, 0.0) > limit
        )

    def has_idle(self, evaluator: str, since: float, seen_since: float) -> bool:
        """Return whether a process that has an evaluator waits for cases.

        Args:
            evaluator: the name of the evaluator.
            since: the time since which the process has said nothing else.
            seen_since: the time since which it must have said so once more.
        """
        return any(
            idle_since <= since
            and self._info[process][0] >= seen_since
            and evaluator in self._info[process][1].evaluators
            for process, idle_since in self._idle_since.items()
        )

    def has_busy(self, seen_since: float) -> bool:
        """Return whether a process runs cases, of any owner, as it has said since a time."""
        return any(at >= seen_since and info.busy for at, info in self._info.values())

    def has_untried(self, evaluator: str, refused_at: Mapping[str, float]) -> bool:
        """Return whether a process has an evaluator, is busy, and may have the code for it.

        Args:
            evaluator: the name of the evaluator.
            refused_at: when workers last refused it, by their names. Their processes have the same
                code, but those that were started later.
        """
        limit = time.monotonic() - HEARD_LATELY
        return any(
            info.busy >= info.slots
            and evaluator in info.evaluators
            and self._heard_at.get(process, 0.0) > limit
            and self._known_since[process] > refused_at.get(info.name, -math.inf)
            for process, (_, info) in self._info.items()
        )

    def name_of(self, process: str) -> str:
        """Return the name of the worker that a process belongs to; that of the process: unknown."""
        return self._info[process][1].name if process in self._info else process

    def _forget(self, now: float) -> None:
        self._forgot_at = now
        for process in [p for p, at in self._heard_at.items() if now - at > HEARD_LATELY]:
            del self._heard_at[process]
            self._info.pop(process, None)
            self._idle_since.pop(process, None)
            self._known_since.pop(process, None)

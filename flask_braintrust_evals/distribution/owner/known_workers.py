"""Keeps what the owner of runs knows of worker processes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask_braintrust_evals.distribution.messaging.transport import WorkerInfo

HEARD_LATELY = 60.0
"""Seconds for which a process that was heard of is taken to be there."""


@dataclass
class _Hello:
    """What a process says of itself.

    Attributes:
        info: what it said last.
        at: when that was. All times are those of ``time.monotonic()``.
        first_at: when it first said anything.
        idle_since: since when it waits for cases; infinite: it does not.
    """

    info: WorkerInfo
    at: float
    first_at: float
    idle_since: float = math.inf


class KnownWorkers:
    """The processes that were heard of lately. Its caller holds a lock while it calls.

    Attributes:
        heard_at: when any process was last heard of, by ``time.monotonic()``.
    """

    def __init__(self) -> None:
        self.heard_at = -math.inf
        self._heard_at: dict[str, float] = {}
        self._hellos: dict[str, _Hello] = {}
        self._forgot_at = time.monotonic()

    def note(self, process: str) -> bool:
        """Note that a process was heard of; return whether it has not said hello yet."""
        now = time.monotonic()
        self.heard_at = self._heard_at[process] = now
        if now - self._forgot_at > HEARD_LATELY:
            self._forget(now)
        return process not in self._hellos

    def note_hello(self, info: WorkerInfo) -> None:
        """Note what a process says of itself."""
        now = time.monotonic()
        hello = self._hellos.setdefault(info.process, _Hello(info, now, now))
        hello.info, hello.at = info, now
        hello.idle_since = min(hello.idle_since, now) if info.busy < info.slots else math.inf

    def note_busy(self, process: str) -> None:
        """Note that a process starts a case."""
        if process in self._hellos:
            self._hellos[process].idle_since = math.inf

    def said_hello_since(self, began: float) -> list[WorkerInfo]:
        """Return what those processes say that have said hello since a time."""
        return [hello.info for hello in self._hellos.values() if hello.at >= began]

    def slots(self) -> int:
        """Return how many cases all processes run at a time, as far as they have said."""
        return sum(hello.info.slots for hello in self._of_those_heard_lately())

    def has_idle(self, evaluator: str, since: float, seen_since: float) -> bool:
        """Return whether a process that has an evaluator waits for cases.

        Args:
            evaluator: the name of the evaluator.
            since: the time since which the process has said nothing else.
            seen_since: the time since which it must have said so once more.
        """
        return any(
            hello.idle_since <= since
            and hello.at >= seen_since
            and evaluator in hello.info.evaluators
            for hello in self._hellos.values()
        )

    def has_busy(self, seen_since: float) -> bool:
        """Return whether a process runs cases, of any owner, as it has said since a time."""
        return any(hello.at >= seen_since and hello.info.busy for hello in self._hellos.values())

    def has_untried(self, evaluator: str, refused_at: Mapping[str, float]) -> bool:
        """Return whether a process has an evaluator, is busy, and may have the code for it.

        Args:
            evaluator: the name of the evaluator.
            refused_at: when workers last refused it, by their names. Their processes have the same
                code, but those that were started later.
        """
        return any(
            hello.info.busy >= hello.info.slots
            and evaluator in hello.info.evaluators
            and hello.first_at > refused_at.get(hello.info.name, -math.inf)
            for hello in self._of_those_heard_lately()
        )

    def name_of(self, process: str) -> str:
        """Return the name of the worker that a process belongs to; that of the process: unknown."""
        return self._hellos[process].info.name if process in self._hellos else process

    def _of_those_heard_lately(self) -> Iterator[_Hello]:
        limit = time.monotonic() - HEARD_LATELY
        for process, hello in self._hellos.items():
            if self._heard_at.get(process, 0.0) > limit:
                yield hello

    def _forget(self, now: float) -> None:
        self._forgot_at = now
        for process in [p for p, at in self._heard_at.items() if now - at > HEARD_LATELY]:
            del self._heard_at[process]
            self._hellos.pop(process, None)

"""The events of a run, which its consumer receives in the order in which they happen.

A run yields, for every case and trial, :class:`CaseStarted`, any number of :class:`CaseProgress`,
:class:`TaskFinished`, then, when its scorers are done, :class:`CaseFinished`. Cases interleave. The
last event is a :class:`RunFinished` or a :class:`RunFailed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .cases import EvalCase
from .results import CaseError, CaseRef, CaseResult
from .summary import RunSummary


class Event:
    """Base class of the events that a run yields.

    Those of each case are not frozen, although nothing changes them: making a frozen object takes
    three times as long.
    """

    __slots__ = ()

    @property
    def size(self) -> int:
        """The approximate number of bytes of the user's data in the event."""
        return 0


@dataclass(slots=True)
class CaseStarted(Event):
    """A case's task is about to be called."""

    ref: CaseRef
    case: EvalCase


@dataclass(frozen=True)
class CaseProgress(Event):
    """A task reported progress. ``event`` has ``format``, ``output_type``, ``event``, ``data``."""

    ref: CaseRef
    event: Mapping[str, str]

    @property
    def size(self) -> int:
        return len(self.event.get("data", ""))


@dataclass(slots=True)
class TaskFinished(Event):
    """A task returned or failed; its scorers come next.

    Exactly one of ``output_data`` (the output as JSON, in UTF-8) and ``error`` is not ``None``.
    """

    ref: CaseRef
    output_data: bytes | None
    error: CaseError | None

    @property
    def size(self) -> int:
        return len(self.output_data or b"")


@dataclass(slots=True)
class CaseFinished(Event):
    """All of a case has been run, scorers and classifiers included."""

    result: CaseResult

    @property
    def size(self) -> int:
        spans = self.result.spans
        return len(self.result.output_data or b"") + (0 if spans is None else spans.size)


@dataclass(frozen=True)
class Idle(Event):
    """Nothing has happened for the run's ``idle_after`` seconds."""


@dataclass(frozen=True)
class RunFinished(Event):
    """The run ended without an error: all cases are done, or it was stopped."""

    summary: RunSummary


@dataclass(frozen=True)
class RunFailed(Event):
    """The run ended with an error. ``summary`` covers the cases that were done by then."""

    error: Exception
    summary: RunSummary

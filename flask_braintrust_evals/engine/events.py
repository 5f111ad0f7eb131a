"""What a run tells its listeners, in the order in which it happens.

A run yields, for every case and trial, :class:`CaseStarted`, any number of :class:`CaseProgress`,
:class:`TaskFinished`, then, when its scorers are done, :class:`CaseFinished`. Cases interleave. The
last event is a :class:`RunFinished` or a :class:`RunFailed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .cases import EvalCase
from .scores import Score
from .summary import RunSummary


@dataclass(frozen=True)
class CaseRef:
    """Which case an event is about.

    Attributes:
        id: the id of the case's ``eval`` span, 16 hex digits; unique within the run.
        index: the case's place in the data, from 0.
        trial_index: which repeat of the case this is, from 0.
        origin: where the case comes from, or ``None``.
    """

    id: str
    index: int
    trial_index: int
    origin: Mapping[str, Any] | None


@dataclass(frozen=True)
class CaseError:
    """Why a task failed.

    Attributes:
        type: the name of the exception's class.
        message: its text.
        stack: its stack trace, for logs and traces; never sent to a client.
    """

    type: str
    message: str
    stack: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass
class CaseResult:
    """All that came of one case and trial.

    Attributes:
        ref: which case and trial.
        case: the case itself.
        output: what the task returned; ``None`` when it failed.
        output_json: the output as JSON text; ``None`` when the task failed.
        error: why the task failed; ``None`` when it did not.
        scores: every score by its name.
        classifications: every classifier's labels by name; each is ``{"id", "label"?,
            "metadata"?}``.
        scorer_errors: why scorers and classifiers failed, by their name.
        metadata: the case's metadata, as the task left it.
        tags: the case's tags, as the task left them.
        duration: seconds from the task's start to the last scorer's end.
    """

    ref: CaseRef
    case: EvalCase
    output: Any = None
    output_json: str | None = None
    error: CaseError | None = None
    scores: dict[str, Score] = field(default_factory=dict)
    classifications: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    scorer_errors: dict[str, CaseError] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    duration: float = 0.0

    def count_in(self, summary: RunSummary) -> None:
        """Have a summary take in this case."""
        scores = {name: score.score for name, score in self.scores.items()}
        summary.add(scores, self.error is not None, self.scorer_errors)


class Event:
    """Base of what a run yields."""

    @property
    def size(self) -> int:
        """About how many bytes of the user's data it holds."""
        return 0


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class TaskFinished(Event):
    """A task returned or failed; its scorers come next.

    Exactly one of ``output_json`` (the output as JSON text) and ``error`` is not ``None``.
    """

    ref: CaseRef
    output_json: str | None
    error: CaseError | None

    @property
    def size(self) -> int:
        return len(self.output_json or "")


@dataclass(frozen=True)
class CaseFinished(Event):
    """A case is done, scorers and classifiers included."""

    result: CaseResult

    @property
    def size(self) -> int:
        return len(self.result.output_json or "")


@dataclass(frozen=True)
class Idle(Event):
    """Nothing has happened for as long as the listener asked to be told after."""


@dataclass(frozen=True)
class RunFinished(Event):
    """All cases are done."""

    summary: RunSummary


@dataclass(frozen=True)
class RunFailed(Event):
    """The run ended early. ``summary`` covers the cases that were done by then."""

    error: Exception
    summary: RunSummary

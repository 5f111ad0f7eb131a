"""Results: of one case, and of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .cases import EvalCase
from .names import free_name
from .scores import Score
from .summary import RunSummary, ScoreSummary

MOST_FAILURES = 10
"""Failed cases that the text of a result tells of."""


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

    def add_scorer_error(self, name: str, error: CaseError) -> None:
        """Keep why a scorer or classifier failed.

        A classifier may have the name of a scorer: the second of them gets a number.
        """
        self.scorer_errors[free_name(name, self.scorer_errors)] = error

    def count_in(self, summary: RunSummary) -> None:
        """Add this case to a summary."""
        scores = {name: score.score for name, score in self.scores.items()}
        summary.add(scores, self.error is not None, self.scorer_errors)


class ScoreSummaries(dict[str, ScoreSummary]):
    """Scores by name. Asked for one that is not there, it says which are."""

    def __missing__(self, name: str) -> ScoreSummary:
        known = ", ".join(map(repr, self)) or "none"
        raise KeyError(f"no case has a score named {name!r}; there are: {known}")


@dataclass
class EvalResult:
    """The results of a whole run. As a text, its scores and its failures, for people.

    Attributes:
        evaluator: the evaluator's name.
        results: one :class:`CaseResult` per case and trial, in the order of the data.
        summary: means and counts over them.
    """

    evaluator: str
    results: list[CaseResult]
    summary: RunSummary

    def __str__(self) -> str:
        lines = [f"{self.evaluator}: {self.summary.cases} cases, {self.summary.failed} failed"]
        for name, score in self.scores.items():
            mean = "no score" if score.mean is None else f"{score.mean:.4f}"
            lines.append(f"{name}: {mean} over {score.count} cases")
        for name, count in self.summary.scorer_errors.items():
            lines.append(f"{name} failed on {count} cases")
        failures = self.failures
        for each in failures[:MOST_FAILURES]:
            trial = f", trial {each.ref.trial_index + 1}" if each.ref.trial_index else ""
            lines.append(f"case {each.ref.index + 1}{trial} failed: {each.error}")
        if len(failures) > MOST_FAILURES:
            lines.append(f"... and {len(failures) - MOST_FAILURES} more")
        return "\n".join(lines)

    @property
    def scores(self) -> ScoreSummaries:
        """Every score by its name, with its ``mean`` and ``count``.

        Raises:
            KeyError: when asked for one that no case has; names those that there are.
        """
        return ScoreSummaries(self.summary.scores)

    @property
    def failures(self) -> list[CaseResult]:
        """The cases whose task failed."""
        return [result for result in self.results if result.error is not None]

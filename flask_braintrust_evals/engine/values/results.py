"""The results of a case and of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .cases import EvalCase
from .html import as_html
from .names import free_name
from .scores import Score
from .summary import MetricSummary, RunSummary, ScoreSummary, cases_text

if TYPE_CHECKING:
    from flask_braintrust_evals.tracing.case_spans import CaseSpans

MAX_FAILURES = 10
"""Failed cases that the text of a result lists."""


@dataclass(slots=True, unsafe_hash=True)  # not frozen: see Event
class CaseRef:
    """A reference to a case of a run.

    Attributes:
        id: the id of the row in Braintrust: that of the case's ``eval`` span, 16 hex digits, or one
            made from the case's ``upsert_id``.
        index: the case's place in the data, from 0.
        trial_index: the number of the repetition of the case, from 0.
        origin: the case's ``origin``; ``None``: it has none.
    """

    id: str
    index: int
    trial_index: int
    origin: Mapping[str, Any] | None = field(hash=False)


@dataclass(frozen=True)
class CaseError:
    """The exception by which a task, a scorer or a classifier failed.

    Attributes:
        type: the name of the exception's class.
        message: its text.
        stack: its stack trace, for logs and traces, and for clients that ask for them.
        place: ``file:line in function: code`` where the user's own code raised it, likewise;
            empty: not known.
    """

    type: str
    message: str
    stack: str = field(default="", repr=False)
    place: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass
class CaseResult:
    """The result of one trial of a case.

    Attributes:
        ref: the case and the trial.
        case: the case itself.
        output: the value that the task returned; ``None`` if it failed.
        output_data: the output as JSON, in UTF-8; ``None`` if the task failed.
        error: why the task failed; ``None`` if it did not.
        scores: all scores by name.
        classifications: all labels by the names of classifications; each is ``{"id", "label"?,
            "metadata"?}``.
        scorer_errors: why scorers and classifiers failed, by their name.
        failed_classifiers: which names in ``scorer_errors`` are those of classifiers.
        metadata: the case's metadata, with the changes that the task made.
        tags: the case's tags, with the changes that the task made.
        duration: seconds that the case took, scorers included.
        metrics: the task's ``duration`` in seconds and, where its spans tell them, numbers of
            tokens (``prompt_tokens``, ``completion_tokens``, ``tokens`` and others) and the
            ``estimated_cost`` in dollars.
        scorer_metrics: the tokens and the cost of the scorers and classifiers, likewise.
        interrupted: whether the run was cancelled before the task returned. What the task then
            returned, if it did, is not kept.
        spans: the spans of the case, if the client of the run has asked for them.
    """

    ref: CaseRef
    case: EvalCase
    output: Any = None
    output_data: bytes | None = field(default=None, repr=False)
    error: CaseError | None = None
    scores: dict[str, Score] = field(default_factory=dict)
    classifications: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    scorer_errors: dict[str, CaseError] = field(default_factory=dict)
    failed_classifiers: set[str] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    duration: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    scorer_metrics: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False
    spans: CaseSpans | None = field(default=None, repr=False)

    @property
    def output_json(self) -> str | None:
        """The output as JSON text; ``None`` if the task failed."""
        # Not kept: a text takes up to four times as much memory as its bytes.
        return None if self.output_data is None else self.output_data.decode()

    def forget_output(self) -> None:
        """Forget the output: the memory of a large one is free before the result is read."""
        self.output = self.output_data = None

    def add_scorer_error(self, name: str, error: CaseError, classifier: bool = False) -> None:
        """Add the failure of a scorer or classifier.

        A classifier may have the name of a scorer: a number is added to the second name.
        """
        name = free_name(name, self.scorer_errors)
        self.scorer_errors[name] = error
        if classifier:
            self.failed_classifiers.add(name)

    def count_in(self, summary: RunSummary) -> None:
        """Add this case to a summary. An interrupted one is only counted."""
        if self.interrupted:
            summary.interrupted += 1
            return
        if self.case.expected is not None:
            summary.with_expected += 1
        summary.add(
            {name: score.score for name, score in self.scores.items()},
            self.error is not None,
            self.scorer_errors,
            self.metrics,
            self.scorer_metrics,
        )


class ScoreSummaries(dict[str, ScoreSummary]):
    """The summaries of scores by name. The error for an unknown name lists the known names."""

    def __missing__(self, name: str) -> ScoreSummary:
        known = ", ".join(map(repr, self)) or "none"
        raise KeyError(f"no case has a score named {name!r}; there are: {known}")


@dataclass(repr=False)
class EvalResult:
    """The results of a whole run.

    ``str(result)`` lists its scores and failures; notebooks show them as a table. ``bool(result)``
    is true if there was a case, no task, scorer or classifier failed, no case was interrupted, and
    every score is there in at least one case.

    Attributes:
        evaluator: the evaluator's name.
        results: one :class:`CaseResult` per case and trial that is done, in the order of the data.
        summary: means and counts over them.
        interrupted: those whose task was cancelled with the run before it returned. They count in
            no mean.
        notes: what may be a mistake in the cases, a line each.
    """

    evaluator: str
    results: list[CaseResult]
    summary: RunSummary
    interrupted: list[CaseResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        summary = self.summary
        failed = summary.failed or summary.scorer_errors or summary.interrupted
        return not (failed or summary.warning)

    def __repr__(self) -> str:
        return str(self)  # what pytest shows of a result that is the message of an assertion

    def _repr_html_(self) -> str:
        return as_html(self.head, self.scores, self.metrics, self.problems)

    def __str__(self) -> str:
        lines = [self.head]
        for name, score in self.scores.items():
            mean = "no score" if score.mean is None else f"{score.mean:.4f}"
            lines.append(f"{name}: {mean} over {cases_text(score.count)}")
        for name, metric in self.metrics.items():
            mean = f"{metric.mean:.4g} {metric.unit}".rstrip()
            lines.append(f"{name}: {mean} over {cases_text(metric.count)}")
        return "\n".join([*lines, *self.problems])

    @property
    def head(self) -> str:
        """The evaluator, and how many cases there are of each kind, in one line."""
        summary = self.summary
        text = f"{self.evaluator}: {cases_text(summary.cases)}, {summary.failed} failed"
        return f"{text}, {summary.interrupted} interrupted" if summary.interrupted else text

    @property
    def problems(self) -> list[str]:
        """What went wrong, a line each, of which there are not too many."""
        summary, failures = self.summary, self.failures
        lines = [*filter(None, [summary.warning]), *self.notes]
        for name, count in summary.scorer_errors.items():
            lines.append(f"{name} failed on {cases_text(count)}{self._first_error(name)}")
        for each in failures[:MAX_FAILURES]:
            trial = f", trial {each.ref.trial_index + 1}" if each.ref.trial_index else ""
            place = "" if each.error is None else each.error.place
            where = f"\n  at {place}" if place else ""
            lines.append(f"case {each.ref.index + 1}{trial} failed: {each.error}{where}")
        if len(failures) > MAX_FAILURES:
            lines.append(f"... and {len(failures) - MAX_FAILURES} more")
        return lines

    def _first_error(self, scorer: str) -> str:
        """Return how a scorer failed first; empty: the results do not say it."""
        errors = (each.scorer_errors.get(scorer) for each in self.results)
        first = next(filter(None, errors), None)
        if first is None:
            return ""
        return f", first with {first}" + (f"\n  at {first.place}" if first.place else "")

    @property
    def scores(self) -> ScoreSummaries:
        """The summaries of all scores by name, each with a ``mean`` and a ``count``.

        Raises:
            KeyError: no case has a score of the name; the message lists those that there are.
        """
        return ScoreSummaries(self.summary.scores)

    @property
    def metrics(self) -> dict[str, MetricSummary]:
        """The summaries of the task's metrics by name, each with a ``mean`` and a ``total``.

        ``duration`` is always there if a task has been called. Tokens and cost are there if spans
        tell them.
        """
        return self.summary.metrics

    @property
    def failures(self) -> list[CaseResult]:
        """The cases whose task failed."""
        return [result for result in self.results if result.error is not None]

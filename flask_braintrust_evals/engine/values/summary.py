"""Means over the cases of a run, updated with each case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NO_CASES = "there was no case: the data is empty"
"""The warning of a run that finished without a case."""
ALL_INTERRUPTED = "no case is done: all were interrupted"
"""The warning of a run all of whose cases were interrupted."""
DURATION = "duration"
"""The name of the metric for the seconds that tasks took; of several calls, the last one."""
RETRIES = "retries"
"""The name of the metric for how often tasks were called again after they had failed."""

_UNITS = {DURATION: "s", "estimated_cost": "$", RETRIES: ""}
_NONE: Mapping[str, float] = MappingProxyType({})


def cases_text(count: int) -> str:
    """Return a number of cases in words."""
    return "1 case" if count == 1 else f"{count} cases"


@dataclass
class _Mean:
    """The mean of one number over the cases.

    Attributes:
        name: what the number is called.
        total: the sum over the cases that have it.
        count: the number of these cases.
    """

    name: str
    total: float = 0.0
    count: int = 0
    _compensation: float = field(default=0.0, repr=False, compare=False)

    @property
    def mean(self) -> float | None:
        """The mean over the cases that have this number; ``None`` if no case has."""
        return (self.total + self._compensation) / self.count if self.count else None

    def add(self, value: float) -> None:
        """Add the number of one case.

        Uses Neumaier's summation, so that the mean of ten times 0.1 is 0.1:
        https://en.wikipedia.org/wiki/Kahan_summation_algorithm#Further_enhancements
        """
        before = self.total
        self.total = total = before + value
        if abs(before) >= abs(value):
            self._compensation += (before - total) + value
        else:
            self._compensation += (value - total) + before
        self.count += 1


@dataclass
class ScoreSummary(_Mean):
    """The mean of one score over the cases.

    Attributes:
        name: the score's name.
        total: the sum of all scores that are not ``None``.
        count: the number of these scores.
    """


@dataclass
class MetricSummary(_Mean):
    """The mean of one metric over the cases: a duration, a number of tokens or a cost.

    Attributes:
        name: the metric's name.
        total: the sum over the cases that have it.
        count: the number of these cases, from 1.
    """

    @property
    def mean(self) -> float:
        """The mean over the cases that have this number."""
        return super().mean or 0.0

    @property
    def unit(self) -> str:
        """Seconds (``s``), tokens (``tok``), dollars (``$``), or none for a count."""
        return _UNITS.get(self.name, "tok")


@dataclass
class RunSummary:
    """The means and counts of a run.

    Attributes:
        scores: the summaries of all scores by name.
        metrics: the summaries of the task's metrics by name: ``duration`` (of the task, in
            seconds) and, where spans tell them, numbers of tokens such as ``prompt_tokens``, and
            ``estimated_cost`` (in dollars).
        scorer_metrics: the tokens and the cost of scorers and classifiers, likewise.
        cases: the number of trials of cases that are done. Interrupted ones count nowhere else.
        failed: the number of those whose task failed.
        scorer_errors: the number of those that a scorer or classifier failed on, by its name.
        interrupted: the number of trials whose task was cancelled with the run before it returned.
        with_expected: the number of trials that are done and whose case has an ``expected``.
    """

    scores: dict[str, ScoreSummary] = field(default_factory=dict)
    metrics: dict[str, MetricSummary] = field(default_factory=dict)
    scorer_metrics: dict[str, MetricSummary] = field(default_factory=dict)
    cases: int = 0
    failed: int = 0
    scorer_errors: dict[str, int] = field(default_factory=dict)
    interrupted: int = 0
    with_expected: int = 0

    @property
    def warning(self) -> str:
        """What is wrong with a run that has finished; empty: nothing.

        A score that is missing must not be mistaken for one that was not asked for.
        """
        if not self.cases:
            return ALL_INTERRUPTED if self.interrupted else NO_CASES
        found = []
        if self.failed == self.cases:
            found.append("the task failed in every case")
        unscored = [repr(score.name) for score in self.scores.values() if not score.count]
        if unscored:
            found.append(f"no case has a score for {', '.join(unscored)}")
        # Sorted, since scorers of a case may fail in any order.
        useless = [repr(name) for name in sorted(self.scorer_errors) if self._gave_nothing(name)]
        if useless:
            found.append(f"{', '.join(useless)} failed each time")
        return "; ".join(found)

    def _gave_nothing(self, scorer: str) -> bool:
        """Return whether a scorer failed in all cases that have an output."""
        score = self.scores.get(scorer)
        is_scored = score is not None and score.count  # by an error_score_handler
        return not is_scored and self.scorer_errors[scorer] == self.cases - self.failed

    def add(
        self,
        scores: Mapping[str, float | None],
        failed: bool,
        scorer_errors: Iterable[str],
        metrics: Mapping[str, float] = _NONE,
        scorer_metrics: Mapping[str, float] = _NONE,
    ) -> None:
        """Add one finished case."""
        self.cases += 1
        self.failed += failed
        for name, value in scores.items():
            summary = self.scores.get(name)
            if summary is None:
                summary = self.scores[name] = ScoreSummary(name)
            if value is not None:
                summary.add(value)
        if metrics:
            _add_metrics(self.metrics, metrics)
        if scorer_metrics:
            _add_metrics(self.scorer_metrics, scorer_metrics)
        for name in scorer_errors:
            self.scorer_errors[name] = self.scorer_errors.get(name, 0) + 1


def _add_metrics(summaries: dict[str, MetricSummary], metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        summary = summaries.get(name)
        if summary is None:
            summary = summaries[name] = MetricSummary(name)
        summary.add(value)

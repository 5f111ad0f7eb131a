"""Means over the cases of a run, updated with each case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NO_CASES = "there was no case: the data is empty"
"""What a person is told of a run that finished without a case."""


@dataclass
class ScoreSummary:
    """The mean of one score over the cases.

    Attributes:
        name: the score's name.
        total: the sum of all scores that are not ``None``.
        count: the number of these scores.
    """

    name: str
    total: float = 0.0
    count: int = 0
    _compensation: float = field(default=0.0, repr=False, compare=False)

    @property
    def mean(self) -> float | None:
        """The mean over the cases that have this score; ``None`` if no case has."""
        return (self.total + self._compensation) / self.count if self.count else None

    def add(self, value: float) -> None:
        """Add the score of one case.

        Uses Neumaier's summation, so that the mean of ten times 0.1 is 0.1:
        https://en.wikipedia.org/wiki/Kahan_summation_algorithm#Further_enhancements
        """
        before, self.total = self.total, self.total + value
        if abs(before) >= abs(value):
            self._compensation += (before - self.total) + value
        else:
            self._compensation += (value - self.total) + before
        self.count += 1


@dataclass
class RunSummary:
    """The means and counts of a run.

    Attributes:
        scores: the summaries of all scores by name.
        cases: the number of trials of cases that are done.
        failed: the number of those whose task failed.
        scorer_errors: the number of those that a scorer or classifier failed on, by its name.
    """

    scores: dict[str, ScoreSummary] = field(default_factory=dict)
    cases: int = 0
    failed: int = 0
    scorer_errors: dict[str, int] = field(default_factory=dict)

    @property
    def warning(self) -> str:
        """What is wrong with a run that has finished; empty: nothing."""
        return "" if self.cases else NO_CASES

    def add(
        self, scores: Mapping[str, float | None], failed: bool, scorer_errors: Iterable[str]
    ) -> None:
        """Add one finished case."""
        self.cases += 1
        self.failed += failed
        for name, value in scores.items():
            summary = self.scores.setdefault(name, ScoreSummary(name))
            if value is not None:
                summary.add(value)
        for name in scorer_errors:
            self.scorer_errors[name] = self.scorer_errors.get(name, 0) + 1

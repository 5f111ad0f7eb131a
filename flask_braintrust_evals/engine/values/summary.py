"""Means over the cases of a run, kept up as the cases come in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class ScoreSummary:
    """One score over all cases.

    Attributes:
        name: the score's name.
        total: the sum of all scores that are not ``None``.
        count: how many those are.
    """

    name: str
    total: float = 0.0
    count: int = 0
    _lost: float = field(default=0.0, repr=False, compare=False)

    @property
    def mean(self) -> float | None:
        """The mean of the cases that have this score; ``None`` where no case has."""
        return (self.total + self._lost) / self.count if self.count else None

    def add(self, value: float) -> None:
        """Take in the score of one case.

        By Neumaier's summation, so that the mean of ten times 0.1 is 0.1:
        https://en.wikipedia.org/wiki/Kahan_summation_algorithm#Further_enhancements
        """
        before, self.total = self.total, self.total + value
        if abs(before) >= abs(value):
            self._lost += (before - self.total) + value
        else:
            self._lost += (value - self.total) + before
        self.count += 1


@dataclass
class RunSummary:
    """What came of a run.

    Attributes:
        scores: every score by its name.
        cases: how many cases and trials are done.
        failed: how many of them had a failing task.
        scorer_errors: how many cases each scorer or classifier failed on; only those that did.
    """

    scores: dict[str, ScoreSummary] = field(default_factory=dict)
    cases: int = 0
    failed: int = 0
    scorer_errors: dict[str, int] = field(default_factory=dict)

    def add(
        self, scores: Mapping[str, float | None], failed: bool, scorer_errors: Iterable[str]
    ) -> None:
        """Take in one finished case."""
        self.cases += 1
        self.failed += failed
        for name, value in scores.items():
            summary = self.scores.setdefault(name, ScoreSummary(name))
            if value is not None:
                summary.add(value)
        for name in scorer_errors:
            self.scorer_errors[name] = self.scorer_errors.get(name, 0) + 1

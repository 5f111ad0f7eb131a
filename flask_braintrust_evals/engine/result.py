"""What :meth:`Evaluator.run` returns."""

from __future__ import annotations

from dataclasses import dataclass

from .events import CaseResult
from .summary import RunSummary, ScoreSummary


@dataclass
class EvalResult:
    """The results of a whole run.

    Attributes:
        evaluator: the evaluator's name.
        results: one :class:`CaseResult` per case and trial, in the order of the data.
        summary: means and counts over them.
    """

    evaluator: str
    results: list[CaseResult]
    summary: RunSummary

    @property
    def scores(self) -> dict[str, ScoreSummary]:
        """Every score by its name, with its ``mean`` and ``count``."""
        return self.summary.scores

    @property
    def failures(self) -> list[CaseResult]:
        """The cases whose task failed."""
        return [result for result in self.results if result.error is not None]

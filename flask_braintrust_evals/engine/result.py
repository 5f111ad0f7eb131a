"""What :meth:`Evaluator.run` returns."""

from __future__ import annotations

from dataclasses import dataclass

from .events import CaseResult
from .summary import RunSummary, ScoreSummary

MOST_FAILURES = 10
"""Failed cases that the text of a result tells of."""


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

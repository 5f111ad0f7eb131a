"""Chooses the cases of a run that are shown."""

from __future__ import annotations

from collections.abc import Mapping

from flask_braintrust_evals.engine.values.results import CaseResult, EvalResult

SHOWN = ("worst", "failures", "low", "all")
"""What ``--show`` can be."""
MAX_FAILURES = 20
"""Failures that are shown by default; the others are only counted."""
MAX_WORST = 5
"""Cases with low scores that are shown by default."""


def is_failure(result: CaseResult) -> bool:
    """Return whether the task, a scorer or a classifier failed on a case."""
    return result.error is not None or bool(result.scorer_errors)


def is_low(result: CaseResult, limits: Mapping[str, float]) -> bool:
    """Return whether a score of a case is below its limit, or below 1 if it has no limit."""
    return any(
        score.score is not None and score.score < limits.get(name, 1)
        for name, score in result.scores.items()
    )


def chosen_cases(result: EvalResult, show: str, limits: Mapping[str, float]) -> list[CaseResult]:
    """Return the cases to show.

    Args:
        result: the results of the run.
        show: one of :data:`SHOWN`. ``"worst"``: some of those that failed, and the few with the
            lowest scores.
        limits: the limits of scores, by name.
    """
    if show == "all":
        return list(result.results)
    failures = [each for each in result.results if is_failure(each)]
    if show == "failures":
        return failures
    low = [each for each in result.results if not is_failure(each) and is_low(each, limits)]
    low.sort(key=_mean_score)
    if show == "low":
        return [*failures, *low]
    return [*[each for each in failures if each.error is not None][:MAX_FAILURES], *low[:MAX_WORST]]


def _mean_score(result: CaseResult) -> float:
    scores = [score.score for score in result.scores.values() if score.score is not None]
    return sum(scores) / len(scores)

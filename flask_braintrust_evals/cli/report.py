"""The outcome of a run as text, for people, and as JSON, for programs."""

from __future__ import annotations

import json
from typing import Any

from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.engine.values.summary import MetricSummary
from flask_braintrust_evals.serialization import clean_text, dumps_or_reason, safe_text

from .outcome import Outcome
from .summary_tables import compared_score, metric_table, score_table
from .terminal import styled

MAX_FAILURES = 20
"""Maximum number of failed cases that are shown; the others are only counted."""
MAX_ID = 100
"""Maximum characters of an id that are shown."""
MAX_TEXT = 500
"""Maximum characters of an input or an error that are shown."""


def report(outcome: Outcome) -> str:
    """Return the failed cases, a table of scores, and a last line with the totals."""
    result = outcome.result
    lines = [_failure(each) for each in result.failures[:MAX_FAILURES]]
    if len(result.failures) > MAX_FAILURES:
        lines.append(f"... and {len(result.failures) - MAX_FAILURES} more that failed")
    for name, count in result.summary.scorer_errors.items():
        error = next(r.scorer_errors[name] for r in result.results if name in r.scorer_errors)
        lines.append(
            styled(f"{name} failed on {count} cases, first with {_shortened(str(error))}", fg="red")
        )
    lines += score_table(outcome)
    lines += metric_table(outcome)
    lines += _recorded(outcome)
    if result.results and result.summary.warning:
        lines.append(styled(result.summary.warning, fg="yellow"))
    lines += [styled(text, fg="red") for text in outcome.too_low.values()]
    lines.append(_last_line(outcome))
    return "\n".join(lines)


def as_json(outcome: Outcome) -> str:
    """Return the outcome, with all results, as JSON.

    ``experiment`` has the fields that the ``start`` event of a stream has (``experimentName``,
    ``experimentUrl`` and so on), or is null.
    """
    result = outcome.result
    body = {
        "evaluator": result.evaluator,
        "passed": outcome.is_good and not outcome.interrupted,
        "error": outcome.error,
        "cases": result.summary.cases,
        "failed": result.summary.failed,
        "interrupted": result.summary.interrupted,
        "scores": {
            name: {"mean": score.mean, "count": score.count, **compared_score(outcome, name)}
            for name, score in result.scores.items()
        },
        "metrics": _metrics(result.metrics),
        "scorer_metrics": _metrics(result.summary.scorer_metrics),
        "scorer_errors": result.summary.scorer_errors,
        "too_low": outcome.too_low,
        "experiment": _experiment(outcome),
        "comparison": _comparison(outcome),
        "lost_spans": outcome.lost_spans,
        "results": [_case(each) for each in result.results],
    }
    return clean_text(json.dumps(body, ensure_ascii=False, indent=2))


def _case(result: CaseResult) -> dict[str, Any]:
    return {
        "id": None if result.case.id is None else safe_text(result.case.id),
        "index": result.ref.index,
        "trial_index": result.ref.trial_index,
        "input": _plain(result.case.input),
        "expected": _plain(result.case.expected),
        "output": None if result.output_data is None else json.loads(result.output_data),
        "error": None if result.error is None else str(result.error),
        "scores": {name: score.score for name, score in result.scores.items()},
        "classifications": _plain(result.classifications),
        "scorer_errors": {name: str(error) for name, error in result.scorer_errors.items()},
        "metadata": _plain(result.metadata),
        "tags": _plain(list(result.tags)),
        "seconds": result.duration,
        "metrics": result.metrics,
        "scorer_metrics": result.scorer_metrics,
    }


def _metrics(summaries: dict[str, MetricSummary]) -> dict[str, Any]:
    return {
        name: {"mean": each.mean, "total": each.total, "count": each.count, "unit": each.unit}
        for name, each in summaries.items()
    }


def _comparison(outcome: Outcome) -> dict[str, Any] | None:
    """Return whether the experiment was compared; ``None``: there is no experiment."""
    if outcome.experiment is None:
        return None
    if outcome.comparison.skipped:
        return {"status": "skipped", "reason": outcome.comparison.skipped}
    return {"status": "success"}


def _plain(value: Any) -> Any:
    return json.loads(dumps_or_reason(value))


def _failure(result: CaseResult) -> str:
    head = styled(f"{case_name(result)} failed: {_shortened(str(result.error))}", fg="red")
    return f"{head}\n  {styled(f'input: {_shortened(dumps_or_reason(result.case.input))}')}"


def case_name(result: CaseResult) -> str:
    """Return the name of a case in messages: its id if it has one, else its place, from 1.

    An id is in quotes, so that a number is not mistaken for a place.
    """
    id = result.case.id
    name = (
        f"case {result.ref.index + 1}"
        if id is None
        else f'case "{_shortened(safe_text(id), MAX_ID)}"'
    )
    return f"{name}, trial {result.ref.trial_index + 1}" if result.ref.trial_index else name


def _shortened(text: str, length: int = MAX_TEXT) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _experiment(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.experiment is None:
        return None
    name = outcome.comparison.base_name
    return {**outcome.experiment, **({"comparisonExperimentName": name} if name else {})}


def _recorded(outcome: Outcome) -> list[str]:
    experiment = _experiment(outcome)
    if experiment is None:
        return []
    lines = []
    if "comparisonExperimentName" in experiment:
        lines.append(styled(f"compared with {experiment['comparisonExperimentName']}"))
    if outcome.comparison.skipped:
        lines.append(styled(f"not compared: {outcome.comparison.skipped}", fg="yellow"))
    if outcome.lost_spans:
        lost = f"{outcome.lost_spans} spans could not be delivered: the experiment lacks them"
        lines.append(styled(lost, fg="red"))
    lines.append(
        styled(f"recorded as {experiment['experimentName']}: {experiment['experimentUrl']}")
    )
    return lines


def _last_line(outcome: Outcome) -> str:
    text = outcome.result.head
    if outcome.error:
        text += f"; {outcome.error}"
    return styled(text, fg="green" if outcome.is_good else "red")

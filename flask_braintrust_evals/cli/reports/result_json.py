"""The outcome of a run as JSON, for programs.

The format is that of the local page, too (``playground/assets/results.js``), and is described in
``docs/results.md``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.cli.stored_results.case_body import case_body, plain_json
from flask_braintrust_evals.cli.stored_results.result_format import FORMAT, VERSION
from flask_braintrust_evals.cli.stored_results.saved_results import SavedRun, saved_case
from flask_braintrust_evals.engine.values.results import EvalResult
from flask_braintrust_evals.engine.values.summary import MetricSummary
from flask_braintrust_evals.texts.safe_texts import clean_text

from .quantiles import quantile
from .summary_tables import SHARES, compared_score


def as_json(outcomes: Sequence[Outcome], several: bool, spans: bool = False) -> str:
    """Return outcomes, with all results, as JSON text.

    Args:
        outcomes: at least one.
        several: whether several evaluators could have been asked for: the runs are then a list.
        spans: whether to write the spans of cases, if they are known.
    """
    head = {"format": FORMAT, "version": VERSION}
    if several:
        passed = all(each.is_good for each in outcomes)
        body = {**head, "passed": passed, "runs": [run_body(each, spans) for each in outcomes]}
    else:
        body = {**head, **run_body(outcomes[0], spans)}
    return clean_text(json.dumps(body, ensure_ascii=False, indent=2))


def run_body(outcome: Outcome, spans: bool = False) -> dict[str, Any]:
    """Return an outcome as values of JSON.

    ``experiment`` has the fields that the ``start`` event of a stream has (``experimentName``,
    ``experimentUrl`` and so on), or is null.
    """
    result = outcome.result
    return {
        "evaluator": result.evaluator,
        "id": outcome.id,
        "label": None,
        "state": _state(outcome),
        "parameters": plain_json(outcome.parameters),
        "passed": outcome.is_good,
        "error": outcome.error,
        "started": outcome.started,
        "seconds": round(outcome.seconds, 3),
        "cases": result.summary.cases,
        "failed": result.summary.failed,
        "interrupted": result.summary.interrupted,
        "scores": {
            name: {"mean": score.mean, "count": score.count, **compared_score(outcome, name)}
            for name, score in result.scores.items()
        },
        "metrics": _metrics(result.metrics, [each.metrics for each in result.results]),
        "scorer_metrics": _metrics(
            result.summary.scorer_metrics, [each.scorer_metrics for each in result.results]
        ),
        "scorer_errors": result.summary.scorer_errors,
        "too_low": outcome.too_low,
        "worse": outcome.worse,
        "notes": _notes(result),
        "experiment": experiment_of(outcome),
        "comparison": _comparison(outcome),
        "baseline": None if outcome.baseline is None else outcome.baseline.as_json(),
        "lost_spans": outcome.lost_spans,
        "results": [case_body(each, spans) for each in result.results],
    }


def saved_run(result: EvalResult) -> SavedRun:
    """Return a result as if it was read from a file."""
    return SavedRun(result.evaluator, [saved_case(case_body(each)) for each in result.results])


def experiment_of(outcome: Outcome) -> dict[str, Any] | None:
    """Return the experiment that the run is recorded in, with what it is compared with."""
    if outcome.experiment is None:
        return None
    name = outcome.comparison.base_name
    return {**outcome.experiment, **({"comparisonExperimentName": name} if name else {})}


def _state(outcome: Outcome) -> str:
    if outcome.interrupted:
        return "interrupted"
    return "failed" if outcome.error else "finished"


def _notes(result: EvalResult) -> list[str]:
    warning = result.summary.warning if result.results else ""
    return [*filter(None, [warning]), *result.notes]


def _metrics(
    summaries: dict[str, MetricSummary], metrics: list[dict[str, float]]
) -> dict[str, Any]:
    found = {}
    for name, each in summaries.items():
        values = [of_case[name] for of_case in metrics if name in of_case]
        found[name] = {
            "mean": each.mean,
            **{key: quantile(values, share) for key, share in SHARES.items()},
            "total": each.total,
            "count": each.count,
            "unit": each.unit,
        }
    return found


def _comparison(outcome: Outcome) -> dict[str, Any] | None:
    """Return whether the experiment was compared; ``None``: there is no experiment."""
    if outcome.experiment is None:
        return None
    if outcome.comparison.skipped:
        return {"status": "skipped", "reason": outcome.comparison.skipped}
    return {"status": "success"}

"""Converts the events of a run to the messages of the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseRef, CaseResult
from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.serialization import dumps, dumps_or_reason


@dataclass(frozen=True)
class Message:
    """One event of the stream: its type, and its data as text."""

    event: str
    data: str


DONE = Message("done", "")


def case_messages(event: Event, evaluator: str) -> Iterator[Message]:
    """Yield the messages of an event of a case. For some events, the protocol has none."""
    if isinstance(event, CaseProgress):
        yield _progress(event.ref, evaluator, event.event)
    elif isinstance(event, TaskFinished):
        if event.error is not None:
            yield _progress(event.ref, evaluator, _completion("error", str(event.error)))
        else:
            yield _progress(
                event.ref, evaluator, _completion("json_delta", event.output_json or "null")
            )
    elif isinstance(event, CaseFinished):
        yield _progress(event.result.ref, evaluator, _completion("done", ""))


def case_result_messages(event: Event) -> Iterator[Message]:
    """Yield messages beyond the protocol: that a case starts, and all results of a case.

    They are sent to clients that ask for them by ``case_results``. The data of ``case_start`` is
    ``{"id", "index", "trial_index", "input", "expected"}``; that of ``case_result`` is ``{"id",
    "scores", "classifications", "metadata", "tags", "duration"}`` (in seconds), and ``error`` and
    ``scorer_errors`` if there are any. The output has been sent by then.
    """
    if isinstance(event, CaseStarted):
        ref = event.ref
        yield _of_values(
            "case_start",
            id=ref.id,
            index=ref.index,
            trial_index=ref.trial_index,
            input=event.case.input,
            expected=event.case.expected,
        )
    elif isinstance(event, CaseFinished):
        yield _of_values("case_result", **_result(event.result))


def _result(result: CaseResult) -> dict[str, Any]:
    scores = {
        name: {"score": score.score, "metadata": score.metadata}
        for name, score in result.scores.items()
    }
    body: dict[str, Any] = {
        "id": result.ref.id,
        "scores": scores,
        "classifications": result.classifications,
        "metadata": result.metadata,
        "tags": result.tags,
        "duration": result.duration,
    }
    if result.error is not None:
        body["error"] = str(result.error)
    if result.scorer_errors:
        body["scorer_errors"] = {k: str(error) for k, error in result.scorer_errors.items()}
    return body


def _of_values(event: str, **values: Any) -> Message:
    """Return a message with any values; if one has no JSON form, the reason is in its place."""
    items = (f"{dumps(name)}:{dumps_or_reason(value)}" for name, value in values.items())
    return Message(event, "{" + ",".join(items) + "}")


def error_message(text: str) -> Message:
    """Return the message of a run that failed. Clients parse its data as a JSON string."""
    return Message("error", dumps(text))


def _completion(event: str, data: str) -> dict[str, str]:
    return {"format": "code", "output_type": "completion", "event": event, "data": data}


def _progress(ref: CaseRef, evaluator: str, event: Mapping[str, str]) -> Message:
    body: dict[str, Any] = {"id": ref.id, "object_type": "task", "name": evaluator, **event}
    if ref.origin is not None:
        body["origin"] = ref.origin
    return Message("progress", dumps(body))


def summary_body(
    description: Mapping[str, Any],
    summary: RunSummary,
    comparison: Mapping[str, Any],
    lost_spans: int,
) -> dict[str, Any]:
    """Return the data of the ``summary`` event.

    Beyond the protocol, it has ``errors`` (``{"cases", "scorers"}``) if tasks, scorers or
    classifiers failed, ``lostSpans`` if spans were lost, and ``warning`` if there was no case.

    Args:
        description: project and experiment, as in the ``start`` event.
        summary: the means of the run.
        comparison: Braintrust's comparison with an earlier experiment; empty: there is none.
        lost_spans: number of spans that could not be delivered.
    """
    compared = comparison.get("scores")
    compared = compared if isinstance(compared, Mapping) else {}
    metrics = comparison.get("metrics")
    body: dict[str, Any] = {
        **description,
        "scores": {
            score.name: _score(score.name, score.mean, compared.get(score.name))
            for score in summary.scores.values()
            if score.mean is not None
        },
        "metrics": metrics if isinstance(metrics, Mapping) else {},
    }
    if isinstance(comparison.get("comparison_experiment_name"), str):
        body["comparisonExperimentName"] = comparison["comparison_experiment_name"]
    if summary.failed or summary.scorer_errors:
        body["errors"] = {"cases": summary.failed, "scorers": summary.scorer_errors}
    if lost_spans:
        body["lostSpans"] = lost_spans
    if summary.warning:
        body["warning"] = summary.warning
    return body


def _score(name: str, mean: float, compared: Any) -> dict[str, Any]:
    compared = compared if isinstance(compared, Mapping) else {}
    score = {
        "name": name,
        "score": mean,
        "improvements": compared.get("improvements") or 0,
        "regressions": compared.get("regressions") or 0,
    }
    if isinstance(compared.get("diff"), int | float):
        score["diff"] = compared["diff"]
    return score

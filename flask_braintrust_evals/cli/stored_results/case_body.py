"""The result of a case in the format of results, as files, stores and reports have it."""

from __future__ import annotations

import json
from typing import Any

from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.texts.error_texts import cut_stack
from flask_braintrust_evals.texts.safe_texts import safe_text


def case_body(result: CaseResult, spans: bool = False) -> dict[str, Any]:
    """Return the result of a case as values of JSON, with its spans if asked for."""
    body = {
        "id": None if result.case.id is None else safe_text(result.case.id),
        "index": result.ref.index,
        "trial_index": result.ref.trial_index,
        "input": plain_json(result.case.input),
        "expected": plain_json(result.case.expected),
        "output": None if result.output_data is None else json.loads(result.output_data),
        "error": None if result.error is None else str(result.error),
        "error_place": result.error.place or None if result.error is not None else None,
        "error_stack": cut_stack(result.error.stack) or None if result.error else None,
        "scores": {name: score.score for name, score in result.scores.items()},
        "score_metadata": {
            name: plain_json(score.metadata)
            for name, score in result.scores.items()
            if score.metadata
        },
        "classifications": plain_json(result.classifications),
        "scorer_errors": {name: str(error) for name, error in result.scorer_errors.items()},
        "metadata": plain_json(result.metadata),
        "tags": plain_json(list(result.tags)),
        "seconds": result.duration,
        "metrics": result.metrics,
        "scorer_metrics": result.scorer_metrics,
    }
    if spans and result.spans is not None:
        body["spans"] = plain_json(result.spans.spans)
        if result.spans.left_out:
            body["spans_cut"] = result.spans.left_out
    return body


def plain_json(value: Any) -> Any:
    """Return a value in JSON's types. What has no JSON form, a part or all, becomes the reason."""
    return json.loads(dumps_or_reason(value))

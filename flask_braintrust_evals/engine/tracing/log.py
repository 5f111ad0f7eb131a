"""Records the fields that ``log()`` of a ``braintrust`` span takes, as attributes of a span.

If a field is logged again, objects are merged key by key, tags are added, and all other values are
replaced, as in the SDK. The earlier value is read from the span's attributes, so nothing else has
to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode

from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason, plain_parts
from flask_braintrust_evals.texts.safe_texts import clean_text
from flask_braintrust_evals.tracing import semconv

from .attributes import add_tags, merge_json
from .eval_tracer import set_failure

_JSON_FIELDS = {
    field: attribute
    for attribute, field in semconv.ROW_FIELDS.items()
    if attribute not in (semconv.TAGS, semconv.CONTEXT)
}
"""The attribute of each field that is logged as JSON. Users do not log the context."""


def log_event(span: Span, event: Mapping[str, Any]) -> None:
    """Log fields on a span.

    Args:
        span: the span.
        event: any of ``input``, ``output``, ``expected``, ``error``, ``scores``, ``metadata``,
            ``metrics``, ``tags``, ``span_attributes``, ``origin``, ``classifications``; ``None`` is
            ignored. Other names become entries of the metadata.

    Raises:
        ValueError: Braintrust does not accept the scores, metrics, metadata or tags.
    """
    fields = {name: value for name, value in event.items() if value is not None}
    if "inputs" in fields:  # the SDK's former name
        fields.setdefault("input", fields.pop("inputs"))
    for name, check in _CHECKS.items():
        if name in fields:
            fields[name] = check(fields[name])
    if not span.is_recording():
        return
    error, tags = fields.pop("error", None), fields.pop("tags", None)
    others = {name: fields.pop(name) for name in [*fields] if name not in _JSON_FIELDS}
    if others:
        fields["metadata"] = {**others, **fields.get("metadata", {})}
    for name, value in fields.items():
        merge_json(span, _JSON_FIELDS[name], value)
    if tags is not None:
        add_tags(span, [clean_text(tag) for tag in tags])
    if error is not None:
        _log_error(span, error)


def _log_error(span: Span, error: Any) -> None:
    if isinstance(error, BaseException):
        set_failure(span, error)
        return
    text = clean_text(error) if isinstance(error, str) else dumps_or_reason(error)
    span.add_event("exception", {"exception.message": text})
    span.set_status(Status(StatusCode.ERROR, text))


def _check_scores(scores: Any) -> dict[str, float | None]:
    _check_names("scores", scores)
    checked: dict[str, float | None] = {}
    for name, score in scores.items():
        if score is None:
            checked[name] = None
            continue
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise ValueError(f"scores: {name!r} must be a number from 0 to 1, not {score!r}")
        checked[name] = float(score)
    return checked


def _check_metrics(metrics: Any) -> Any:
    _check_names("metrics", metrics)
    for name, metric in metrics.items():
        if not isinstance(metric, int | float):
            raise ValueError(f"metrics: {name!r} must be a number, not {metric!r}")
    return metrics


def _check_metadata(metadata: Any) -> Any:
    if not isinstance(metadata, Mapping):
        try:  # a dataclass or a pydantic model becomes a dict
            metadata = plain_parts(metadata)
        except SerializationError as error:
            raise ValueError(f"metadata must be a dict: {error}") from None
    _check_names("metadata", metadata)
    return metadata


def _check_tags(tags: Any) -> list[str]:
    if not isinstance(tags, list | tuple | set) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError(f"tags must be a list of strings, not {tags!r}")
    return list(dict.fromkeys(tags))


def _check_names(field: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{field} must be a dict whose keys are strings, not {value!r}")


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "scores": _check_scores,
    "metrics": _check_metrics,
    "metadata": _check_metadata,
    "tags": _check_tags,
}

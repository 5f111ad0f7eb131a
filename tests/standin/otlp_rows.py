"""What the cloud's intake makes of a span that comes over OTLP: a row with the span's own id."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from .spans import StoredSpan
from .state import Row


def row_of(span: StoredSpan) -> Row:
    """The row of a span. Attributes that the intake cannot read become metadata, as documented."""
    row: Row = {
        "id": span.span_id,
        "span_id": span.span_id,
        "root_span_id": span.trace_id,
        "span_parents": [span.parent_span_id] if span.parent_span_id else None,
        "is_root": not span.parent_span_id,
        "created": datetime.fromtimestamp(span.start / 1e9, timezone.utc).isoformat(),
    }
    unread: Row = {}
    for name, value in span.attributes.items():
        field, read = _FIELDS.get(name, ("", None))
        try:
            if read is None:
                raise ValueError(name)
            row[field] = read(value)
        except ValueError:
            unread[name] = value
    unread.pop("braintrust.parent", None)
    if unread:
        row["metadata"] = {**row.get("metadata", {}), **unread}
    row["span_attributes"] = {"name": span.name, **row.get("span_attributes", {})}
    logged = row.get("metrics", {})
    row["metrics"] = {**_tokens(span), **logged, "start": span.start / 1e9, "end": span.end / 1e9}
    if span.status_code == "ERROR":
        row["error"] = span.status_message
    return row


def _tokens(span: StoredSpan) -> Row:
    """What the attributes of OpenTelemetry's conventions tell, by the names of metrics."""
    return {
        name: span.attributes[attribute]
        for attribute, name in _TOKENS.items()
        if _is_number(span.attributes.get(attribute))
    }


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return json.loads(value)


def _object(value: Any) -> Any:
    parsed = _json(value)
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return parsed


def _numbers(value: Any) -> Any:
    parsed = _object(value)
    if not all(map(_is_number, parsed.values())):
        raise ValueError("not an object of numbers")
    return parsed


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _texts(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("not a list of texts")
    return value


# The attributes of https://www.braintrust.dev/docs/integrations/sdk-integrations/opentelemetry/
# and of the specification; labels are not among them.
_FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "braintrust.input_json": ("input", _json),
    "braintrust.expected_json": ("expected", _json),
    "braintrust.output_json": ("output", _json),
    "braintrust.metadata": ("metadata", _object),
    "braintrust.metrics": ("metrics", _numbers),
    "braintrust.scores": ("scores", _object),
    "braintrust.tags": ("tags", _texts),
    "braintrust.origin": ("origin", _object),
    "braintrust.context_json": ("context", _object),
    "braintrust.span_attributes": ("span_attributes", _object),
}
_TOKENS = {
    "gen_ai.usage.prompt_tokens": "prompt_tokens",
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.completion_tokens": "completion_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
    "gen_ai.usage.total_tokens": "tokens",
}

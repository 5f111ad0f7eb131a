"""Decides which spans are written as rows of Braintrust's own, and encodes them.

Spans are sent over OTLP. What Braintrust makes of a span there is a row whose id is that of the
span, with the fields that its intake knows attributes for. Two things have no attribute that it is
known to read: the id of a row that is to be replaced, and labels. An ``eval`` span that has one of
these is sent to ``/logs3`` instead, as the SDKs send all of their spans. The spans below it still
go over OTLP: in one trace, Braintrust puts together the spans that arrive in either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_span_id, format_trace_id

from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.serialization.json_writing import dumps, dumps_or_reason
from flask_braintrust_evals.texts.safe_texts import clean_text
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.sizes import plain_attributes
from flask_braintrust_evals.tracing.span_errors import error_of

from .limits import MAX_ATTRIBUTE_BYTES, MAX_SPAN_BYTES, cut_span


@dataclass(frozen=True)
class NativeRow:
    """One span as a row, in JSON."""

    json: bytes
    count: int = 1

    @property
    def size(self) -> int:
        """The bytes of the row in a request."""
        return len(self.json) + 1


def is_native(span: ReadableSpan) -> bool:
    """Return whether a span must be written as a row: the one place where this is decided."""
    if span.parent is not None:
        return False
    attributes = span.attributes or {}
    return semconv.ROW_ID in attributes or semconv.CLASSIFICATIONS in attributes


def native_row(span: ReadableSpan, parent: Mapping[str, str]) -> NativeRow:
    """Encode a span as a row.

    Args:
        span: the span; its texts are cut further if the row would be too large.
        parent: the fields that name the object in Braintrust; see :class:`Parent`.
    """
    limit = MAX_ATTRIBUTE_BYTES
    while True:
        row = _encode({**_row(span), **_texts(parent)})
        if len(row) <= MAX_SPAN_BYTES or limit < 100:
            return NativeRow(row)
        # In JSON, a control character takes six times as many bytes.
        limit //= 6
        span = cut_span(span, limit)


def insert_request(rows: Iterable[NativeRow]) -> bytes:
    """Return the body of a request to ``/logs3``."""
    return b'{"api_version":2,"rows":[' + b",".join(row.json for row in rows) + b"]}"


def _encode(fields: Mapping[str, str]) -> bytes:
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()


def _row(span: ReadableSpan) -> dict[str, str]:
    """Return the fields of a row, each as JSON text."""
    assert span.context is not None
    attributes = dict(plain_attributes(span))
    attributes.pop(semconv.PARENT, None)
    span_id = format_span_id(span.context.span_id)
    fields = _texts(
        {
            "id": attributes.pop(semconv.ROW_ID, span_id),
            "span_id": span_id,
            "root_span_id": format_trace_id(span.context.trace_id),
            "created": _time(span.start_time),
            "_is_merge": False,  # it replaces the row that is there
        }
    )
    for name, field in semconv.ROW_FIELDS.items():
        convert = _CONVERTERS.get(name, _object)
        text = convert(attributes[name]) if name in attributes else None
        if text is not None:
            fields[field] = text
            del attributes[name]
    seconds = {"start": (span.start_time or 0) / 1e9, "end": (span.end_time or 0) / 1e9}
    _merge(fields, "metrics", seconds)
    _merge(fields, "span_attributes", {"name": clean_text(span.name)})
    # Braintrust does the same with attributes that it does not know.
    _merge(fields, "metadata", {**attributes, **_other_events(span)})
    error = error_of(span)
    if error is not None:
        fields["error"] = dumps(clean_text(error))
    return fields


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: dumps(value) for name, value in values.items()}


def _merge(fields: dict[str, str], name: str, entries: Mapping[str, Any]) -> None:
    """Add entries to a field that is an object."""
    if not entries:
        return
    text = dumps_or_reason(entries)
    if name in fields:
        text = dumps({**loads(text), **loads(fields[name])})
    fields[name] = text


def _time(nanoseconds: int | None) -> str:
    return datetime.fromtimestamp((nanoseconds or 0) / 1e9, timezone.utc).isoformat()


def _other_events(span: ReadableSpan) -> dict[str, Any]:
    events = [
        {"name": event.name, **(event.attributes or {})}
        for event in span.events
        if event.name != "exception"
    ]
    return {"events": events} if events else {}


def _any(text: Any) -> str | None:
    """Return JSON text as it is, and any other text as a JSON string."""
    if not isinstance(text, str):
        return None
    return dumps(clean_text(text)) if _parsed(text) is _NOT_JSON else text


def _object(text: Any) -> str | None:
    """Return the JSON text of an object; ``None``: it is none, such as one that has been cut."""
    return text if isinstance(_parsed(text), dict) else None


def _labels(text: Any) -> str | None:
    """Return the JSON text of labels; ``None``: Braintrust would refuse them."""
    value = _parsed(text)
    if not isinstance(value, dict) or not value:
        return None
    for items in value.values():
        if not isinstance(items, list) or not all(
            isinstance(item, dict) and isinstance(item.get("id"), str) for item in items
        ):
            return None
    return str(text)


def _tags(value: Any) -> str | None:
    if not isinstance(value, tuple | list):
        return None
    return dumps(list(dict.fromkeys(clean_text(tag) for tag in value if isinstance(tag, str))))


_NOT_JSON = object()


def _parsed(text: Any) -> Any:
    try:
        return loads(text) if isinstance(text, str) else _NOT_JSON
    except orjson.JSONDecodeError:
        return _NOT_JSON


_CONVERTERS: Mapping[str, Callable[[Any], str | None]] = {
    **dict.fromkeys((semconv.INPUT, semconv.EXPECTED, semconv.OUTPUT), _any),
    semconv.TAGS: _tags,
    semconv.CLASSIFICATIONS: _labels,
}
"""What returns the JSON text of a field, by its attribute; for all others, :func:`_object` does. A
value that its field cannot have becomes metadata."""

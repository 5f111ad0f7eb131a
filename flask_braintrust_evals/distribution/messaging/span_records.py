"""An ``eval`` span as a record: its owner goes on with it, and ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, Status, StatusCode


def record_of(span: ReadableSpan) -> dict[str, Any]:
    """Return what is recorded on a span, as JSON, without its ids and links."""
    return {
        "name": span.name,
        "attributes": {name: _plain(value) for name, value in (span.attributes or {}).items()},
        "events": [
            [event.name, dict(event.attributes or {}), event.timestamp] for event in span.events
        ],
        "status": [span.status.status_code.value, span.status.description],
        "start": span.start_time,
        "end": span.end_time,
    }


def restore(record: Mapping[str, Any], span: Span) -> None:
    """Record on a span what a record says, apart from its start and its end."""
    span.set_attributes(record["attributes"])
    for name, attributes, timestamp in record["events"]:
        span.add_event(name, attributes, timestamp)
    code, description = record["status"]
    if code != StatusCode.UNSET.value:
        span.set_status(Status(StatusCode(code), description))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

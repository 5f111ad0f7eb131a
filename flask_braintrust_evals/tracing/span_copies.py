"""Copies of finished spans, which their own exporters have as well and must not be changed."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan


def copy_of(span: ReadableSpan, **changed: Any) -> ReadableSpan:
    """Return a copy of a finished span, with other values of some arguments of its class."""
    fields: dict[str, Any] = {
        "name": span.name,
        "context": span.context,
        "parent": span.parent,
        "resource": span.resource,
        "attributes": span.attributes,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "instrumentation_scope": span.instrumentation_scope,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
    }
    return ReadableSpan(**{**fields, **changed})

"""Takes stack traces out of spans, for applications that show none to their callers."""

from __future__ import annotations

from opentelemetry.sdk.trace import Event, ReadableSpan

STACK = "exception.stacktrace"
"""https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/"""


def without_stack_traces(span: ReadableSpan) -> ReadableSpan:
    """Return a span without stack traces; a copy if it has any."""
    if not any(STACK in (event.attributes or ()) for event in span.events):
        return span
    events = [
        Event(
            event.name,
            {name: value for name, value in (event.attributes or {}).items() if name != STACK},
            event.timestamp,
        )
        for event in span.events
    ]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=events,
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )

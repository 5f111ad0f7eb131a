"""Takes stack traces out of spans, for applications that show none to their callers."""

from __future__ import annotations

from opentelemetry.sdk.trace import Event, ReadableSpan

from flask_braintrust_evals.tracing.span_copies import copy_of
from flask_braintrust_evals.tracing.span_errors import STACK


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
    return copy_of(span, events=events)

"""Takes lone surrogates out of the texts of spans, of which no UTF-8 can be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from flask_braintrust_evals.plain_values import clean_text
from flask_braintrust_evals.tracing.sizes import plain_attributes
from flask_braintrust_evals.tracing.span_copies import copy_of


def clean_span(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of a span whose texts can be encoded."""
    description = span.status.description
    return copy_of(
        span,
        name=clean_text(span.name),
        attributes=_clean(plain_attributes(span)),
        events=[
            Event(clean_text(event.name), _clean(event.attributes or {}), event.timestamp)
            for event in span.events
        ],
        links=[Link(link.context, _clean(link.attributes or {})) for link in span.links],
        status=Status(
            span.status.status_code, None if description is None else clean_text(description)
        ),
    )


def _clean(value: Any) -> Any:
    """Return the value of an attribute, which has a few levels at most."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {_clean(name): _clean(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_clean(each) for each in value]
    return value

"""Takes lone surrogates out of the texts of spans, of which no UTF-8 can be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from flask_braintrust_evals.texts.safe_texts import clean_text
from flask_braintrust_evals.tracing.sizes import plain_attributes
from flask_braintrust_evals.tracing.span_copies import copy_of


def has_surrogates(span: ReadableSpan) -> bool:
    """Return whether a text of a span has a lone surrogate."""
    texts = [span.name, span.status.description, *(event.name for event in span.events)]
    attributes = [
        plain_attributes(span),
        *(event.attributes for event in span.events),
        *(link.attributes for link in span.links),
    ]
    return any(map(_has_surrogates, (*texts, *attributes)))


def _has_surrogates(value: Any) -> bool:
    """Return whether the value of an attribute, which has a few levels at most, has one."""
    if isinstance(value, str):
        return not value.isascii() and clean_text(value) != value
    if isinstance(value, Mapping):
        return any(map(_has_surrogates, value)) or any(map(_has_surrogates, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return any(map(_has_surrogates, value))
    return False


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

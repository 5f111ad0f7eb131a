"""Cuts finished spans to the sizes that Braintrust accepts; sets their parent and context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from flask_braintrust_evals.tracing.semconv import CONTEXT, PARENT
from flask_braintrust_evals.tracing.sizes import (
    ATTRIBUTE_OVERHEAD,
    EVENT_OVERHEAD,
    LINK_OVERHEAD,
    OVERHEAD,
    attributes_size,
    event_size,
    link_size,
    plain_attributes,
    span_size,
    text_size,
    value_size,
)
from flask_braintrust_evals.tracing.span_context import context_of
from flask_braintrust_evals.tracing.span_copies import copy_of

from .cuts import cut_attributes, cut_text, is_deep

MAX_ATTRIBUTE_BYTES = 1_000_000
"""Bytes of one text or value. A longer one is cut; a note in it says so."""
MAX_SPAN_BYTES = 4_000_000
"""Bytes of a span. Braintrust refuses requests above about 6 MB."""
MIN_CUT_BYTES = 1_000
"""Bytes of a text that are kept, unless there are too many texts."""
LEFT_OUT = "flask_braintrust_evals.left_out"
"""The attribute that says how many attributes, events and links are left out of a span."""

T = TypeVar("T")


def within_limits(span: ReadableSpan, parent: str, size: int) -> tuple[ReadableSpan, int]:
    """Return a span within Braintrust's limits, and its approximate size in bytes.

    If something has to change, a copy is returned: the application's own exporters have the same
    span.

    Args:
        span: a finished span.
        parent: the value of its ``braintrust.parent``.
        size: its size in bytes, from :func:`span_size`.
    """
    attributes = plain_attributes(span)
    too_large = size > MAX_ATTRIBUTE_BYTES and (
        size > MAX_SPAN_BYTES or max(_sizes(span)) > MAX_ATTRIBUTE_BYTES
    )
    is_right = not too_large and not _is_deep(span, attributes)
    if is_right and attributes.get(PARENT) == parent:
        return span, size
    added = {PARENT: parent}
    if CONTEXT not in attributes:
        added[CONTEXT] = context_of(span)
    if is_right:
        copy = copy_of(span, attributes={**attributes, **added})
        return copy, size + attributes_size(added)
    copy = cut_span(span, _limit(span) if too_large else MAX_ATTRIBUTE_BYTES, added)
    size = span_size(copy)
    if size > MAX_SPAN_BYTES:
        copy = _without_the_rest(copy)
        size = span_size(copy)
    return copy, size


def cut_span(
    span: ReadableSpan, limit: int, added: Mapping[str, Any] | None = None
) -> ReadableSpan:
    """Return a copy of a span whose names, texts and values have at most ``limit`` bytes each.

    Args:
        span: the span.
        limit: the bytes of each.
        added: attributes that are added as they are.
    """
    attributes = cut_attributes(plain_attributes(span), limit)
    attributes.update(added or {})
    events = [
        Event(cut_text(event.name, limit), cut_attributes(event.attributes, limit), event.timestamp)
        for event in span.events
    ]
    links = [Link(link.context, cut_attributes(link.attributes, limit)) for link in span.links]
    return copy_of(
        span,
        attributes=attributes,
        events=events,
        links=links,
        name=cut_text(span.name, limit),
        status=_cut_status(span.status, limit),
    )


def _cut_status(status: Status, limit: int) -> Status:
    if status.description is None or text_size(status.description) <= limit:
        return status
    return Status(status.status_code, cut_text(status.description, limit))


def _is_deep(span: ReadableSpan, attributes: Mapping[str, Any]) -> bool:
    """Return whether an attribute of a span, its events or its links has too many levels."""
    for value in attributes.values():
        if type(value) is not str and is_deep(value):
            return True
    return bool(span.events or span.links) and any(
        is_deep(value) for each in _further(span) for value in each.values()
    )


def _further(span: ReadableSpan) -> list[Mapping[str, Any]]:
    """Return the attributes of the events and links of a span."""
    events = [event.attributes or {} for event in span.events]
    return [*events, *(link.attributes or {} for link in span.links)]


def _sizes(span: ReadableSpan) -> Iterator[int]:
    """Yield the size in bytes of each name, text and value of a span that can be cut."""
    yield text_size(span.name)
    yield text_size(span.status.description or "")
    for event in span.events:
        yield text_size(event.name)
    for attributes in (span.attributes or {}, *_further(span)):
        for name, value in attributes.items():
            yield text_size(name)
            yield text_size(value) if isinstance(value, str) else value_size(value)


def _limit(span: ReadableSpan) -> int:
    """Return how many bytes of each text are kept, so that all of them fit into the span.

    Shorter texts stay whole, and leave more bytes to the longer ones.
    """
    sizes = sorted(_sizes(span))
    attributes = len(span.attributes or {}) + sum(map(len, _further(span)))
    # The second OVERHEAD is for the parent that is added, the other ones for the notes.
    remaining = MAX_SPAN_BYTES - 2 * OVERHEAD - 2 * ATTRIBUTE_OVERHEAD * attributes
    remaining -= EVENT_OVERHEAD * len(span.events) + LINK_OVERHEAD * len(span.links)
    for index, size in enumerate(sizes):
        share = remaining // (len(sizes) - index)
        if size > share:
            return max(MIN_CUT_BYTES, min(share, MAX_ATTRIBUTE_BYTES))
        remaining -= size
    return MAX_ATTRIBUTE_BYTES


def _without_the_rest(span: ReadableSpan) -> ReadableSpan:
    """Return a copy of a span with as many attributes, events and links as fit.

    Braintrust's own attributes and the span's exceptions are the first to be kept.
    """
    attributes = plain_attributes(span)
    budget = _Budget(
        MAX_SPAN_BYTES - OVERHEAD - span_size(copy_of(span, attributes={}, events=(), links=()))
    )
    names = sorted(attributes, key=lambda name: not name.startswith("braintrust."))
    kept_names = budget.take(names, lambda name: attributes_size({name: attributes[name]}))
    events = sorted(span.events, key=lambda event: event.name != "exception")
    kept_events = budget.take(events, event_size)
    kept_links = budget.take(span.links, link_size)
    left_out = {
        "attributes": len(names) - len(kept_names),
        "events": len(events) - len(kept_events),
        "links": len(span.links) - len(kept_links),
    }
    note = ", ".join(f"{count} {what}" for what, count in left_out.items() if count)
    return copy_of(
        span,
        attributes={**{name: attributes[name] for name in kept_names}, LEFT_OUT: note},
        events=sorted(kept_events, key=lambda event: event.timestamp),
        links=kept_links,
    )


class _Budget:
    """The bytes that are left for the parts of a span."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, parts: Iterable[T], size_of: Callable[[T], int]) -> list[T]:
        """Return the parts that fit, in their order."""
        taken = []
        for part in parts:
            size = size_of(part)
            if size <= self._left:
                self._left -= size
                taken.append(part)
        return taken

"""Cuts finished spans to the sizes that Braintrust accepts, and sets their parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from flask_braintrust_evals.semconv import PARENT
from flask_braintrust_evals.serialization import dumps
from flask_braintrust_evals.tracing.sizes import (
    OVERHEAD,
    plain_attributes,
    span_size,
    text_size,
    text_sizes,
)

MAX_ATTRIBUTE_BYTES = 1_000_000
"""Bytes of one text. A longer one is cut; a note at its end says so."""
MAX_SPAN_BYTES = 4_000_000
"""Bytes of all texts of a span. Braintrust refuses requests above about 6 MB."""
MIN_CUT_BYTES = 1_000
"""Bytes of a text that are kept, even if the span is too large."""


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
        size > MAX_SPAN_BYTES or max(_text_sizes(span)) > MAX_ATTRIBUTE_BYTES
    )
    if attributes.get(PARENT) == parent and not too_large:
        return span, size
    limit = _limit(span) if too_large else MAX_ATTRIBUTE_BYTES
    copy = ReadableSpan(
        name=_cut(span.name, limit),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={**_cut_attributes(attributes, limit), PARENT: parent},
        events=[
            Event(
                _cut(event.name, limit), _cut_attributes(event.attributes, limit), event.timestamp
            )
            for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=_cut_status(span.status, limit),
        start_time=span.start_time,
        end_time=span.end_time,
    )
    return copy, span_size(copy)


def _text_sizes(span: ReadableSpan) -> list[int]:
    """Return the size in bytes of each text of a span that :func:`within_limits` can cut."""
    sizes = [text_size(span.name), text_size(span.status.description or "")]
    sizes += [text_size(event.name) for event in span.events]
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for name, value in (attributes or {}).items():
            sizes.append(text_size(name))
            sizes.extend(text_sizes(value))
    return sizes


def _cut_status(status: Status, limit: int) -> Status:
    if status.description is None or text_size(status.description) <= limit:
        return status
    return Status(status.status_code, _cut(status.description, limit))


def _limit(span: ReadableSpan) -> int:
    """Return how many bytes of each text are kept, so that all of them fit into the span.

    Shorter texts stay whole, and leave more bytes to the longer ones.
    """
    sizes = sorted(_text_sizes(span))
    remaining = MAX_SPAN_BYTES - 2 * OVERHEAD  # the second one for the parent that is added
    for index, size in enumerate(sizes):
        share = remaining // (len(sizes) - index)
        if size > share:
            return max(MIN_CUT_BYTES, min(share, MAX_ATTRIBUTE_BYTES))
        remaining -= size
    return MAX_ATTRIBUTE_BYTES


def _cut_attributes(attributes: Mapping[str, Any] | None, limit: int) -> dict[str, Any]:
    return {
        _cut(name, limit): _cut_value(name, value, limit)
        for name, value in (attributes or {}).items()
    }


def _cut_value(name: str, value: Any, limit: int) -> Any:
    if isinstance(value, tuple | list):
        return _cut_list(value, limit)
    if not isinstance(value, str) or text_size(value) <= limit:
        return value
    # Braintrust parses its own attributes as JSON, and would ignore a JSON text that is cut.
    if name.startswith("braintrust."):
        # Quotes and backslashes take a second character inside a JSON string.
        return dumps(_cut(value, limit // 2))
    return _cut(value, limit)


def _cut_list(values: Sequence[Any], limit: int) -> list[Any]:
    """Return the items that fit into the limit; in a list of texts, the last item says so."""
    kept: list[Any] = []
    remaining = limit
    for value in values:
        item = _cut(value, limit) if isinstance(value, str) else value
        remaining -= text_size(item) + 4 if isinstance(item, str) else 12
        if kept and remaining < 0:
            if isinstance(kept[0], str):
                kept.append(f"… [cut: {len(values)} items]")
            break
        kept.append(item)
    return kept


def _cut(text: str, limit: int) -> str:
    size = text_size(text)
    if size <= limit:
        return text
    marker = f"… [cut: {size} bytes]"
    marker_size = len(marker) + 2  # the ellipsis has three bytes
    kept = text.encode("utf-8", "replace")[: max(0, limit - marker_size)]
    return kept.decode("utf-8", "ignore") + marker

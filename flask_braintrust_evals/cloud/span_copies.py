"""Finished spans as they are sent: with their parent in Braintrust, and no larger than it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan

from flask_braintrust_evals.semconv import PARENT
from flask_braintrust_evals.serialization import dumps

LARGEST_ATTRIBUTE = 1_000_000
"""Bytes of one text; what is longer is cut, and says so."""
LARGEST_SPAN = 4_000_000
"""Bytes of all texts of a span. Braintrust refuses requests above about 6 MB."""
SMALLEST_CUT = 1_000
OVERHEAD = 300
"""Bytes of a span beside its texts: ids, times, names. Estimated."""


def outgoing(span: ReadableSpan, parent: str, size: int) -> tuple[ReadableSpan, int]:
    """Return a span as it is sent, and about how many bytes it takes.

    The application's own exporters see the span as it was: this is a copy where anything differs.

    Args:
        span: a finished span.
        parent: the value of its ``braintrust.parent``.
        size: its bytes, as :func:`span_size` has them.
    """
    attributes = plain_attributes(span)
    too_large = size > LARGEST_ATTRIBUTE and (
        size > LARGEST_SPAN or max(_text_sizes(span)) > LARGEST_ATTRIBUTE
    )
    if attributes.get(PARENT) == parent and not too_large:
        return span, size
    limit = _limit(span) if too_large else LARGEST_ATTRIBUTE
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
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )
    return copy, span_size(copy)


def span_size(span: ReadableSpan) -> int:
    """Return about how many bytes a span takes."""
    size = OVERHEAD + text_size(span.name)
    for attributes in (plain_attributes(span), *(event.attributes for event in span.events)):
        for value in (attributes or {}).values():
            size += text_size(value) if isinstance(value, str) else sum(_value_sizes(value))
    return size


def plain_attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of a span's attributes that is cheaper to read than the SDK's mapping."""
    attributes: Any = span.attributes
    copy: dict[str, Any] = attributes.copy() if attributes else {}
    return copy


def text_size(text: str) -> int:
    """Return the bytes of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _text_sizes(span: ReadableSpan) -> list[int]:
    """The bytes of each text of a span, of which its name is the first."""
    sizes = [text_size(span.name)]
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for value in (attributes or {}).values():
            sizes.extend(_value_sizes(value))
    return sizes


def _value_sizes(value: Any) -> list[int]:
    texts = value if isinstance(value, tuple | list) else (value,)
    return [text_size(each) for each in texts if isinstance(each, str)]


def _limit(span: ReadableSpan) -> int:
    """The largest text that lets the whole span pass: the small ones stay as they are."""
    sizes = sorted(_text_sizes(span))
    room = LARGEST_SPAN - 2 * OVERHEAD  # the second one for the parent that is added
    for index, size in enumerate(sizes):
        share = room // (len(sizes) - index)
        if size > share:
            return max(SMALLEST_CUT, min(share, LARGEST_ATTRIBUTE))
        room -= size
    return LARGEST_ATTRIBUTE


def _cut_attributes(attributes: Mapping[str, Any] | None, limit: int) -> dict[str, Any]:
    return {name: _cut_value(name, value, limit) for name, value in (attributes or {}).items()}


def _cut_value(name: str, value: Any, limit: int) -> Any:
    if isinstance(value, tuple | list):
        return _cut_list(value, limit)
    if not isinstance(value, str) or text_size(value) <= limit:
        return value
    # Braintrust parses its own attributes: half a JSON text would be none at all.
    if name.startswith("braintrust."):
        # Quotes and backslashes take a second character inside a JSON string.
        return dumps(_cut(value, limit // 2))
    return _cut(value, limit)


def _cut_list(values: Sequence[Any], limit: int) -> list[Any]:
    """As many items as fit into the limit together; texts end with a word on the rest."""
    kept: list[Any] = []
    room = limit
    for value in values:
        item = _cut(value, limit) if isinstance(value, str) else value
        room -= text_size(item) + 4 if isinstance(item, str) else 12
        if kept and room < 0:
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
    kept = text.encode("utf-8", "replace")[: max(0, limit - len(marker) - 2)]
    return kept.decode("utf-8", "ignore") + marker

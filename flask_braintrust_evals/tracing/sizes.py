"""The sizes of spans in a request, by OTLP's encoding (https://protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link

OVERHEAD = 300
"""Bytes of a span beside its texts and attributes: ids, times, flags. More than there ever are."""
EVENT_OVERHEAD = 32
"""Bytes of an event beside its name and attributes, likewise."""
LINK_OVERHEAD = 64
"""Bytes of a link beside its attributes, likewise."""
ATTRIBUTE_OVERHEAD = 20
"""Bytes of an attribute beside its name and its text, likewise."""

MANY_ITEMS = 1_000
"""Of lists with more integers, each is counted as the largest one: it is a hundred times faster."""


def span_size(span: ReadableSpan) -> int:
    """Return how many bytes a span takes, or a few more; without its resource and its scope."""
    size = OVERHEAD + text_size(span.name) + attributes_size(plain_attributes(span))
    if span.status.description:
        size += text_size(span.status.description)
    if span.context is not None and span.context.trace_state:
        size += text_size(span.context.trace_state.to_header())
    for event in span.events:  # most spans have none
        size += event_size(event)
    for link in span.links:
        size += link_size(link)
    return size


def event_size(event: Event) -> int:
    """Return how many bytes an event takes, or a few more."""
    return EVENT_OVERHEAD + text_size(event.name) + attributes_size(event.attributes)


def link_size(link: Link) -> int:
    """Return how many bytes a link takes, or a few more."""
    return LINK_OVERHEAD + attributes_size(link.attributes)


def attributes_size(attributes: Mapping[str, Any] | None) -> int:
    """Return how many bytes attributes take, or a few more."""
    if not attributes:
        return 0
    size = ATTRIBUTE_OVERHEAD * len(attributes)
    for name, value in attributes.items():  # of each span: hence without calls for usual texts
        size += len(name) if name.isascii() else text_size(name)
        if type(value) is not str:
            size += value_size(value)
        else:
            size += len(value) if value.isascii() else text_size(value)
    return size


def plain_attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """Return the attributes of a span that has ended, in a dict.

    It is cheaper to read than the SDK's mapping.
    """
    recorded: Mapping[str, Any] | None = getattr(span, "recorded_attributes", None)
    if recorded is not None:
        return recorded
    attributes: Any = span.attributes
    copy: dict[str, Any] = attributes.copy() if attributes else {}
    return copy


def text_size(text: str) -> int:
    """Return the bytes of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def value_size(value: Any) -> int:
    """Return the bytes of the value of an attribute: an ``AnyValue`` of any kind."""
    if isinstance(value, str):
        return _field(text_size(value))
    if isinstance(value, bool):
        return 2
    if isinstance(value, int):
        return 1 + _varint(value)
    if isinstance(value, float):
        return 9
    if isinstance(value, bytes):
        return _field(len(value))
    if isinstance(value, Mapping):
        return _field(
            sum(
                _field(_field(text_size(str(name))) + _field(value_size(each)))
                for name, each in value.items()
            )
        )
    if isinstance(value, Sequence):
        return _field(_items_size(value))
    return 0  # None; the encoder leaves out what is of no other kind


def _items_size(values: Sequence[Any]) -> int:
    if len(values) > MANY_ITEMS and set(map(type, values)) == {int}:
        largest = max(_varint(min(values)), _varint(max(values)))
        return len(values) * _field(1 + largest)
    return sum(_field(value_size(each)) for each in values)


def _field(size: int) -> int:
    """Return the bytes of a field whose content has ``size`` bytes."""
    return 1 + _varint(size) + size


def _varint(number: int) -> int:
    """Return the bytes of a number. A negative one has all 64 bits."""
    return 10 if number < 0 else min(10, (max(1, number.bit_length()) + 6) // 7)

"""The approximate sizes of spans, in memory and in a request."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

OVERHEAD = 300
"""Bytes of a span beside its texts: ids, times, names. Estimated."""


def span_size(span: ReadableSpan) -> int:
    """Return about how many bytes a span takes."""
    size = OVERHEAD + text_size(span.name) + text_size(span.status.description or "")
    size += sum(text_size(event.name) for event in span.events)
    for attributes in (plain_attributes(span), *(event.attributes for event in span.events)):
        for name, value in (attributes or {}).items():
            size += len(name)
            size += text_size(value) if isinstance(value, str) else sum(text_sizes(value))
    return size


def plain_attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return a copy of a span's attributes that is cheaper to read than the SDK's mapping."""
    attributes: Any = span.attributes
    copy: dict[str, Any] = attributes.copy() if attributes else {}
    return copy


def text_size(text: str) -> int:
    """Return the bytes of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def text_sizes(value: Any) -> list[int]:
    """Return the bytes of each text in an attribute's value."""
    texts = value if isinstance(value, tuple | list) else (value,)
    return [text_size(each) for each in texts if isinstance(each, str)]

"""Encodes plain spans, as nearly all spans of a run are, in protobuf's wire format.

Their attributes are texts, and they have neither events nor links. Written without protobuf's
objects, which are made for each attribute, they take a third of the time. The format is described
at https://protobuf.dev/programming-guides/encoding, the messages in OTLP's ``trace.proto``. A test
compares the result with that of the official encoder.
"""

from __future__ import annotations

import functools
import struct

from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from flask_braintrust_evals.tracing.sizes import plain_attributes

MAX_KNOWN = 2000
"""Pairs of sizes whose encoding is kept, in less than a megabyte."""

_VARINT, _FIXED64, _SIZED, _FIXED32 = 0, 1, 2, 5  # kinds of fields
_BYTES = [bytes((number,)) for number in range(256)]


def _varint(number: int) -> bytes:
    if number < 128:
        return _BYTES[number]
    return _BYTES[number & 127 | 128] + _varint(number >> 7)


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


# ResourceSpans and ScopeSpans, each in the message around it
RESOURCE_SPANS = _tag(1, _SIZED)
SCOPE_SPANS = _tag(2, _SIZED)
# Span
_SPAN = _tag(2, _SIZED)
_TRACE_ID = _tag(1, _SIZED) + _varint(16)
_SPAN_ID = _tag(2, _SIZED) + _varint(8)
_PARENT_ID = _tag(4, _SIZED) + _varint(8)
_NAME = _tag(5, _SIZED)
_KIND = _tag(6, _VARINT) + _varint(SpanKind.INTERNAL.value + 1)  # OTLP's 0 is "unspecified"
_KIND_AND_START, _END = _KIND + _tag(7, _FIXED64), _tag(8, _FIXED64)
_ATTRIBUTE = _tag(9, _SIZED)
_STATUS = _tag(15, _SIZED) + _varint(0)
_FLAGS = _tag(16, _FIXED32) + struct.pack("<I", SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
_LAST = _STATUS + _FLAGS
# KeyValue and AnyValue
_KEY, _VALUE, _TEXT = _tag(1, _SIZED), _tag(2, _SIZED), _tag(1, _SIZED)

_TIMES = struct.Struct("<3sQsQ")


def plain_span(span: ReadableSpan) -> bytes | None:
    """Return a serialized ``ScopeSpans`` with a plain span; ``None``: the span is another one."""
    context, parent = span.context, span.parent
    if (
        context is None
        or context.trace_state
        or (parent is not None and parent.is_remote)
        or span.events
        or span.links
        or span.kind is not SpanKind.INTERNAL
        or span.status.status_code is not StatusCode.UNSET
        or span.dropped_attributes
        or span.dropped_events
        or span.dropped_links
    ):
        return None
    encoded = str.encode  # not the value's own method: it may be no text
    try:
        text = encoded(span.name)
        pieces = [
            _TRACE_ID,
            context.trace_id.to_bytes(16, "big"),
            _SPAN_ID,
            context.span_id.to_bytes(8, "big"),
            b"" if parent is None else _PARENT_ID + parent.span_id.to_bytes(8, "big"),
            _NAME,
            _varint(len(text)),
            text,
            _TIMES.pack(_KIND_AND_START, span.start_time, _END, span.end_time),
        ]
        for key, value in plain_attributes(span).items():
            name, text = encoded(key), encoded(value)
            before, after = _around_name(len(name), len(text))
            pieces += before, name, after, text
    except (TypeError, UnicodeEncodeError, struct.error):
        return None
    pieces.append(_LAST)
    data = b"".join(pieces)
    return _SPAN + _varint(len(data)) + data


def in_field(field: bytes, value: list[bytes]) -> list[bytes]:
    """Return the pieces of a field, by those of its value."""
    return [field, _varint(sum(map(len, value))), *value]


@functools.lru_cache(MAX_KNOWN)
def _around_name(name: int, text: int) -> tuple[bytes, bytes]:
    """Return what is before and after an attribute's name, by the bytes of name and value."""
    before = _KEY + _varint(name)
    value = _TEXT + _varint(text)
    after = _VALUE + _varint(len(value) + text) + value
    return _ATTRIBUTE + _varint(len(before) + name + len(after) + text) + before, after

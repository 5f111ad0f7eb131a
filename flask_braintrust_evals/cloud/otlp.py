"""Finished spans as an OTLP request (https://opentelemetry.io/docs/specs/otlp/).

Spans are encoded when their case ends, and wait as bytes: objects that wait for long are what the
garbage collector goes through again and again, which costs more than all else that is done here.

The official encoder could do all of it. Spans like nearly all that a run has, with texts for
attributes and without events and links, are instead written straight into its protobuf messages,
in about a third of the time; a test holds them to what the official encoder makes of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, SpanFlags
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from .span_copies import plain_attributes

logger = logging.getLogger("flask_braintrust_evals")

CHUNK_SPANS = 100
CHUNK_BYTES = 1_000_000
"""What is kept in one piece, at most, unless a single span is larger."""

_KINDS = {kind: kind.value + 1 for kind in SpanKind}  # OTLP's 0 is "unspecified"
_FLAGS = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK


@dataclass(frozen=True)
class EncodedSpans:
    """Some spans of one tracer.

    Attributes:
        envelope: a ``ResourceSpans`` message without spans, shared by all that go into it.
        spans: a serialized ``ScopeSpans`` that has nothing but spans.
        count: how many.
    """

    envelope: Any
    spans: bytes
    count: int

    @property
    def size(self) -> int:
        """Their bytes."""
        return len(self.spans)


class SpanEncoder:
    """Encodes the spans of one run. Thread-safe.

    Attributes:
        failed: how many spans could not be encoded.
    """

    def __init__(self) -> None:
        # By identity: an SDK's resource is written as JSON each time it is looked up by its value.
        # The objects are kept, so that nothing else can come to have their ids.
        self._envelopes: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        self._lock = threading.Lock()
        self.failed = 0

    def encode(self, spans: Iterable[tuple[ReadableSpan, int]]) -> Iterator[EncodedSpans]:
        """Yield spans, each given with about its size in bytes, in pieces of a bounded size."""
        key, messages, size = (0, 0), ScopeSpans(), 0
        for span, span_size in spans:
            own_key = id(span.resource), id(span.instrumentation_scope)
            count = len(messages.spans)
            full = count >= CHUNK_SPANS or size + span_size > CHUNK_BYTES
            if count and (full or own_key != key):
                yield self._piece(key, messages)
                messages, size = ScopeSpans(), 0
            key = own_key
            try:
                self._envelope(key, span)
                _add(span, messages.spans)
                size += span_size
            except Exception as error:  # a text of the application's that is not UTF-8
                with self._lock:
                    self.failed += 1
                logger.warning("a span cannot be encoded: %s", type(error).__name__)
        if messages.spans:
            yield self._piece(key, messages)

    def _piece(self, key: tuple[int, int], messages: Any) -> EncodedSpans:
        envelope = self._envelopes[key][2]
        return EncodedSpans(envelope, messages.SerializeToString(), len(messages.spans))

    def _envelope(self, key: tuple[int, int], span: ReadableSpan) -> None:
        if key not in self._envelopes:
            envelope = encode_spans([span]).resource_spans[0]
            del envelope.scope_spans[0].spans[:]
            self._envelopes[key] = span.resource, span.instrumentation_scope, envelope


def request(batch: Iterable[EncodedSpans]) -> bytes:
    """Return an ``ExportTraceServiceRequest`` with the spans, serialized."""
    message: Any = encode_spans([])
    pieces: dict[int, tuple[Any, list[bytes]]] = {}
    for each in batch:
        pieces.setdefault(id(each.envelope), (each.envelope, []))[1].append(each.spans)
    for envelope, spans in pieces.values():
        scope = message.resource_spans.add()
        scope.CopyFrom(envelope)
        # Protobuf adds up what is repeated where serialized messages are put one behind the other.
        scope.scope_spans[0].MergeFromString(b"".join(spans))
    return bytes(message.SerializeToString())


def _add(span: ReadableSpan, messages: Any) -> None:
    count = len(messages)
    try:
        if _add_simple(span, messages):
            return
    except ValueError:  # lone surrogates; the official encoder leaves out the attribute
        pass
    del messages[count:]
    messages.extend(encode_spans([span]).resource_spans[0].scope_spans[0].spans)


def _add_simple(span: ReadableSpan, messages: Any) -> bool:
    """Add a span to the messages; return false, having added part of it, where it is no such."""
    context, parent = span.context, span.parent
    if (
        context is None
        or context.trace_state
        or (parent is not None and parent.is_remote)
        or span.events
        or span.links
    ):
        return False
    message = messages.add(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_time,
        end_time_unix_nano=span.end_time,
        dropped_attributes_count=span.dropped_attributes,
        dropped_events_count=span.dropped_events,
        dropped_links_count=span.dropped_links,
        flags=_FLAGS,
    )
    if parent is not None:
        message.parent_span_id = parent.span_id.to_bytes(8, "big")
    message.status.SetInParent()
    if span.status.status_code is not StatusCode.UNSET:
        message.status.code = span.status.status_code.value
        message.status.message = span.status.description or ""
    add = message.attributes.add
    for key, value in plain_attributes(span).items():
        if type(value) is not str:
            return False
        add(key=key).value.string_value = value
    return True

"""Encodes finished spans as OTLP (https://opentelemetry.io/docs/specs/otlp/).

Spans are encoded when their case ends, and are queued as bytes. Objects that wait for long are
visited by the garbage collector again and again, which would cost more than all the rest.

The official encoder could encode all spans. Most spans of a run have only texts as attributes, no
events and no links; these are written directly into the protobuf messages, in about a third of the
time. A test compares the result with that of the official encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, SpanFlags
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.tracing.collector import SizedSpan
from flask_braintrust_evals.tracing.sizes import plain_attributes

from .clean_spans import clean_span, has_surrogates

logger = logging.getLogger("flask_braintrust_evals")

MAX_CHUNK_SPANS = 100
MAX_CHUNK_BYTES = 1_000_000
"""Limits of a chunk; a single span may be larger."""
MAX_ENVELOPE_BYTES = 100_000
"""Bytes of a resource with a scope, which are a part of each request. Of larger ones, the large
attributes are left out."""
MAX_ENVELOPES = 100
"""Pairs of a resource and a scope that are kept; an application has a few."""

_LENGTHS = 20
"""Bytes of the lengths in a request that belong to a chunk, at most."""
_KINDS = {kind: kind.value + 1 for kind in SpanKind}  # OTLP's 0 is "unspecified"
_FLAGS = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK


@dataclass(frozen=True)
class OtlpChunk:
    """Some encoded spans of one tracer.

    Attributes:
        envelope: a ``ResourceSpans`` message without spans, shared by chunks of the same tracer.
        spans: a serialized ``ScopeSpans`` without a scope.
        count: the number of spans.
        envelope_size: the bytes that the envelope adds to a request, at most.
    """

    envelope: Any
    spans: bytes
    count: int
    envelope_size: int = 0

    @classmethod
    def of(cls, envelope: Any, spans: bytes, count: int) -> OtlpChunk:
        """Return a chunk, with the size of its envelope."""
        return cls(envelope, spans, count, envelope.ByteSize() + _LENGTHS)

    @property
    def size(self) -> int:
        """The bytes that the chunk adds to a request, at most."""
        return len(self.spans) + self.envelope_size


class OtlpEncoder:
    """Encodes the spans of one run. Thread-safe.

    Attributes:
        failed: the number of spans that could not be encoded.
    """

    def __init__(self) -> None:
        self._lock = new_lock()
        self.failed = 0

    def encode(self, spans: Iterable[SizedSpan]) -> Iterator[OtlpChunk]:
        """Encode spans, each given with its approximate size in bytes. Yield them in chunks."""
        envelope, messages, size = None, ScopeSpans(), 0
        for span, span_size in spans:
            try:
                own = _envelope_of(span)
            except Exception as error:
                self._note_failure(error)
                continue
            count = len(messages.spans)
            full = count >= MAX_CHUNK_SPANS or size + span_size > MAX_CHUNK_BYTES
            if count and (full or own is not envelope):
                yield _chunk(envelope, messages)
                messages, size = ScopeSpans(), 0
            envelope, count = own, len(messages.spans)
            try:
                _add(span, messages.spans)
                size += span_size
            except Exception as error:
                del messages.spans[count:]  # what has been written of it
                self._note_failure(error)
        if messages.spans:
            yield _chunk(envelope, messages)

    def _note_failure(self, error: Exception) -> None:
        """Count a span that cannot be encoded, since something of it is of the wrong type."""
        with self._lock:
            self.failed += 1
        logger.warning("a span cannot be encoded: %s", type(error).__name__)


# The keys are the ids of a resource and a scope: to hash a resource, the SDK writes it as JSON.
# Both objects are kept, so that no other object can get their ids.
_envelopes: dict[tuple[int, int], tuple[Any, Any, Any]] = {}


def _envelope_of(span: ReadableSpan) -> Any:
    """Return the envelope of a span, which all runs of the process share."""
    key = id(span.resource), id(span.instrumentation_scope)
    kept = _envelopes.get(key)
    if kept is None:
        envelope = encode_spans([span]).resource_spans[0]
        del envelope.scope_spans[0].spans[:]
        if envelope.ByteSize() > MAX_ENVELOPE_BYTES:
            _shrink(envelope)
        if len(_envelopes) >= MAX_ENVELOPES:
            _envelopes.clear()
        kept = _envelopes[key] = span.resource, span.instrumentation_scope, envelope
    return kept[2]


def _chunk(envelope: Any, messages: Any) -> OtlpChunk:
    return OtlpChunk.of(envelope, messages.SerializeToString(), len(messages.spans))


def export_request(chunks: Iterable[OtlpChunk]) -> bytes:
    """Return an ``ExportTraceServiceRequest`` with the spans of the chunks, serialized."""
    message: Any = encode_spans([])
    by_envelope: dict[int, tuple[Any, list[bytes]]] = {}
    for chunk in chunks:
        by_envelope.setdefault(id(chunk.envelope), (chunk.envelope, []))[1].append(chunk.spans)
    for envelope, spans in by_envelope.values():
        scope = message.resource_spans.add()
        scope.CopyFrom(envelope)
        # Protobuf merges repeated fields where serialized messages are concatenated.
        scope.scope_spans[0].MergeFromString(b"".join(spans))
    return bytes(message.SerializeToString())


def _shrink(envelope: Any) -> None:
    """Leave out what is large in a resource and its scope, and what is too much."""
    scope = envelope.scope_spans[0].scope
    for owner in (envelope.resource, scope):
        small = [each for each in owner.attributes if each.ByteSize() <= 1000][:40]
        del owner.attributes[:]
        owner.attributes.extend(small)
    scope.name, scope.version = scope.name[:1000], scope.version[:1000]
    envelope.scope_spans[0].ClearField("schema_url")
    envelope.ClearField("schema_url")


def _add(span: ReadableSpan, messages: Any) -> None:
    attributes = plain_attributes(span)
    if _is_simple(span, attributes):
        _add_simple(span, attributes, messages)
    else:
        messages.extend(_encoded(span).resource_spans[0].scope_spans[0].spans)


def _encoded(span: ReadableSpan) -> Any:
    # As of a span whose exception quotes half a pair of surrogates.
    return encode_spans([clean_span(span) if has_surrogates(span) else span])


def _is_simple(span: ReadableSpan, attributes: Mapping[str, Any]) -> bool:
    """Return whether :func:`_add_simple` can encode a span."""
    context, parent = span.context, span.parent
    return not (
        context is None
        or context.trace_state
        or (parent is not None and parent.is_remote)
        or span.events
        or span.links
    ) and _are_utf8([span.name, span.status.description or "", *attributes.values(), *attributes])


def _are_utf8(texts: list[Any]) -> bool:
    """Return whether all values are texts without lone surrogates."""
    for text in texts:
        if type(text) is not str:
            return False
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return False
    return True


def _add_simple(span: ReadableSpan, attributes: Mapping[str, str], messages: Any) -> None:
    context, parent = span.context, span.parent
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
    for key, value in attributes.items():
        add(key=key).value.string_value = value

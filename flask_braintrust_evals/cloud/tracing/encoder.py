"""Encodes finished spans as OTLP (https://opentelemetry.io/docs/specs/otlp/).

Spans are encoded when their case ends, and are queued as bytes. Objects that wait for long are
visited by the garbage collector again and again, which would cost more than all the rest.

The official encoder could encode all spans. Nearly all spans of a run are plain, and are encoded
by :mod:`.plain_spans` in less time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.sdk.trace import ReadableSpan

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.tracing.collector import SizedSpan

from .clean_spans import clean_span, has_surrogates
from .plain_spans import RESOURCE_SPANS, SCOPE_SPANS, in_field, plain_span

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


class Envelope(NamedTuple):
    """A resource with a scope, shared by all chunks of the same tracer.

    Attributes:
        message: a ``ResourceSpans`` message without spans.
        size: the bytes that it adds to a request, at most.
    """

    message: Any
    size: int

    @classmethod
    def of(cls, message: Any) -> Envelope:
        """Return the envelope for a message, which is not changed any more."""
        return cls(message, message.ByteSize() + _LENGTHS)


@dataclass(eq=False, slots=True)  # not frozen: making it would take three times as long
class OtlpChunk:
    """Some encoded spans of one tracer.

    Attributes:
        envelope: their resource and scope.
        spans: a serialized ``ScopeSpans`` without a scope.
        count: the number of spans.
    """

    envelope: Envelope
    spans: bytes
    count: int

    @property
    def size(self) -> int:
        """The bytes that the chunk adds to a request, at most."""
        return len(self.spans) + self.envelope.size


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
        envelope: Envelope | None = None
        encoded: list[bytes] = []
        size = 0
        for span, span_size in spans:
            try:
                own, data = _envelope_of(span), plain_span(span) or _any_span(span)
            except Exception as error:
                self._note_failure(error)
                continue
            full = len(encoded) >= MAX_CHUNK_SPANS or size + span_size > MAX_CHUNK_BYTES
            if envelope is not None and (full or own is not envelope):
                yield OtlpChunk(envelope, b"".join(encoded), len(encoded))
                encoded, size = [], 0
            envelope = own
            encoded.append(data)
            size += span_size
        if envelope is not None:
            yield OtlpChunk(envelope, b"".join(encoded), len(encoded))

    def _note_failure(self, error: Exception) -> None:
        """Count a span that cannot be encoded, since something of it is of the wrong type."""
        with self._lock:
            self.failed += 1
        logger.warning("a span cannot be encoded: %s", type(error).__name__)


# The keys are the ids of a resource and a scope: to hash a resource, the SDK writes it as JSON.
# Both objects are kept, so that no other object can get their ids.
_envelopes: dict[tuple[int, int], tuple[Any, Any, Envelope]] = {}


def _envelope_of(span: ReadableSpan) -> Envelope:
    """Return the envelope of a span, which all runs of the process share."""
    key = id(span.resource), id(span.instrumentation_scope)
    kept = _envelopes.get(key)
    if kept is None:
        # Not of the span itself, whose texts the official encoder may refuse.
        scope = span.instrumentation_scope
        bare = ReadableSpan("", span.context, resource=span.resource, instrumentation_scope=scope)
        message = encode_spans([bare]).resource_spans[0]
        del message.scope_spans[0].spans[:]
        if message.ByteSize() > MAX_ENVELOPE_BYTES:
            _shrink(message)
        if len(_envelopes) >= MAX_ENVELOPES:
            _envelopes.clear()
        kept = span.resource, scope, Envelope.of(message)
        _envelopes[key] = kept
    return kept[2]


def _any_span(span: ReadableSpan) -> bytes:
    """Return a serialized ``ScopeSpans`` with a span, as the official encoder makes it."""
    # As of a span whose exception quotes half a pair of surrogates.
    request = encode_spans([clean_span(span) if has_surrogates(span) else span])
    scope = request.resource_spans[0].scope_spans[0]
    scope.ClearField("scope")
    scope.ClearField("schema_url")
    return bytes(scope.SerializeToString())


def export_request(chunks: Iterable[OtlpChunk]) -> bytes:
    """Return an ``ExportTraceServiceRequest`` with the spans of the chunks, serialized."""
    by_envelope: dict[int, tuple[Envelope, list[bytes]]] = {}
    for chunk in chunks:
        by_envelope.setdefault(id(chunk.envelope), (chunk.envelope, []))[1].append(chunk.spans)
    pieces: list[bytes] = []
    for envelope, spans in by_envelope.values():
        resource = ResourceSpans()
        resource.CopyFrom(envelope.message)
        scope = resource.scope_spans.pop().SerializeToString()
        # Protobuf merges repeated fields where serialized messages are concatenated.
        inner = in_field(SCOPE_SPANS, [scope, *spans])
        pieces += in_field(RESOURCE_SPANS, [resource.SerializeToString(), *inner])
    return b"".join(pieces)


def _shrink(message: Any) -> None:
    """Leave out what is large in a resource and its scope, and what is too much."""
    scope = message.scope_spans[0].scope
    for owner in (message.resource, scope):
        small = [each for each in owner.attributes if each.ByteSize() <= 1000][:40]
        del owner.attributes[:]
        owner.attributes.extend(small)
    scope.name, scope.version = scope.name[:1000], scope.version[:1000]
    message.scope_spans[0].ClearField("schema_url")
    message.ClearField("schema_url")

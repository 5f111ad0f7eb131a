"""Encoded spans as JSON, for their way from the process that records them to the one that sends."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from flask_braintrust_evals.concurrency.gevent_patch import new_lock

from .encoder import Envelope, OtlpChunk


def pack(chunk: OtlpChunk) -> dict[str, Any]:
    """Return encoded spans as JSON: ``envelope`` and ``spans`` in base64, and their ``count``."""
    return {
        "envelope": base64.b64encode(chunk.envelope.message.SerializeToString()).decode(),
        "spans": base64.b64encode(chunk.spans).decode(),
        "count": chunk.count,
    }


class Unpacker:
    """Reads what :func:`pack` returned, for one run. Thread-safe.

    Chunks of one tracer share one envelope, whichever process they come from: what is sent has it
    once for all of them.
    """

    def __init__(self) -> None:
        self._envelopes: dict[str, Envelope] = {}
        self._lock = new_lock()

    def chunk(self, packed: Mapping[str, Any]) -> OtlpChunk:
        """Return encoded spans."""
        key = packed["envelope"]
        with self._lock:
            envelope = self._envelopes.get(key)
            if envelope is None:
                envelope = Envelope.of(ResourceSpans.FromString(base64.b64decode(key)))
                self._envelopes[key] = envelope
        return OtlpChunk(envelope, base64.b64decode(packed["spans"]), packed["count"])

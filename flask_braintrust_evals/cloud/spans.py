"""Finished spans of one run, on their way to the caller's project."""

from __future__ import annotations

import logging
import threading

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from flask_braintrust_evals.errors import CloudError

from .sessions import UserSession

logger = logging.getLogger("flask_braintrust_evals")

BATCH_SPANS = 500
BATCH_BYTES = 3_000_000
"""Estimated; Braintrust refuses bodies above about 6 MB."""


class RunSpans(SpanProcessor):
    """Collects the spans of one run and sends them in batches, with the caller's session.

    Each run has a tracer of its own, so that no span can reach another run's project. A batch that
    is full is sent by the worker that filled it, at the end of a case; the rest by :meth:`flush`.

    Args:
        session: as whom.
        parent: what the spans belong to, as the ``x-bt-parent`` header names it.
    """

    def __init__(self, session: UserSession, parent: str) -> None:
        self._session = session
        self._parent = parent
        self._lock = threading.Lock()
        self._spans: list[ReadableSpan] = []
        self._bytes = 0
        self.lost = 0
        # Explicit, because the defaults come from OTEL_* variables that are meant for the
        # application's own telemetry: a sampler would drop cases, a length limit cut their JSON.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(),
            shutdown_on_exit=False,
            span_limits=SpanLimits(
                max_attribute_length=SpanLimits.UNSET, max_span_attribute_length=SpanLimits.UNSET
            ),
        )
        self._provider.add_span_processor(self)

    @property
    def tracer(self) -> Tracer:
        """The tracer whose spans are collected here."""
        return self._provider.get_tracer("flask_braintrust_evals")

    def on_end(self, span: ReadableSpan) -> None:
        with self._lock:
            self._spans.append(span)
            self._bytes += _size(span)
            full = len(self._spans) >= BATCH_SPANS or self._bytes >= BATCH_BYTES
        if full and span.parent is None:
            self.flush()

    def flush(self) -> None:
        """Send everything that is finished. What Braintrust does not take is counted and logged."""
        for batch in self._take():
            self._send(batch)

    def _take(self) -> list[list[ReadableSpan]]:
        with self._lock:
            spans, self._spans, self._bytes = self._spans, [], 0
        batches: list[list[ReadableSpan]] = []
        size = BATCH_BYTES
        for span in spans:
            size += _size(span)
            if size >= BATCH_BYTES or len(batches[-1]) >= BATCH_SPANS:
                batches.append([])
                size = _size(span)
            batches[-1].append(span)
        return batches

    def _send(self, batch: list[ReadableSpan]) -> None:
        try:
            self._session.api(
                "POST",
                "/otel/v1/traces",
                data=encode_spans(batch).SerializeToString(),
                headers={"Content-Type": "application/x-protobuf", "x-bt-parent": self._parent},
            )
        except CloudError as error:
            with self._lock:
                self.lost += len(batch)
            logger.warning("%d spans could not be delivered: %s", len(batch), error)


def _size(span: ReadableSpan) -> int:
    """About how many bytes a span takes on the wire."""
    texts = sum(len(value) for value in (span.attributes or {}).values() if isinstance(value, str))
    return 200 + texts

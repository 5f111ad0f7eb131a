"""The way of a run's spans to Braintrust: collected by case, cut, encoded, queued, and sent."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Tracer

from flask_braintrust_evals.cloud.sessions import UserSession
from flask_braintrust_evals.tracing.collector import SizedSpan, SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor

from .encoder import OtlpEncoder
from .exporter import SpanExporter
from .limits import within_limits


class SpanPipeline:
    """Sends the spans of one run to Braintrust with the caller's session.

    ``tracer`` records spans, and the :class:`SpanCollector` keeps them until their case ends. Then
    they are cut to the sizes that Braintrust accepts, the :class:`OtlpEncoder` encodes them, and
    the :class:`SpanExporter` queues and sends the bytes.

    Args:
        session: the caller's.
        parent: the Braintrust object that the spans belong to, as the value of
            ``braintrust.parent`` and of the header ``x-bt-parent``.
        processor: delivers the spans of the application's own tracers.
        timeout: seconds that :meth:`flush` may take.
    """

    def __init__(
        self, session: UserSession, parent: str, processor: CaseSpanProcessor, timeout: float
    ) -> None:
        self._parent = parent
        self._timeout = timeout
        self._encoder = OtlpEncoder()
        self._exporter = SpanExporter.to_braintrust(session, parent)
        self._collector = SpanCollector(processor, self._encode, self._exporter.send_full_batches)

    @property
    def tracer(self) -> Tracer:
        """The tracer whose spans are sent."""
        return self._collector.tracer

    @property
    def lost(self) -> int:
        """The number of spans that were not delivered."""
        return self._exporter.lost + self._encoder.failed

    def of_case(self, trace_id: int) -> Sequence[ReadableSpan]:
        """Return the spans of a running case that have ended so far, in the order of their ends."""
        return self._collector.of_case(trace_id)

    def flush(self, timeout: float | None = None) -> None:
        """Send all finished spans. Those that Braintrust does not accept are counted and logged.

        Args:
            timeout: seconds that it may take, at most the pipeline's own; default: those.
        """
        self._exporter.flush(self._timeout if timeout is None else min(timeout, self._timeout))

    def close(self) -> None:
        """Accept no more spans. Called when the last worker of the run has ended."""
        self._collector.close()

    def _encode(self, spans: Sequence[SizedSpan]) -> None:
        sent = (within_limits(span, self._parent, size) for span, size in spans)
        for chunk in self._encoder.encode(sent):
            self._exporter.add(chunk)

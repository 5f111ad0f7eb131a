"""The way of a run's spans to Braintrust: collected by case, cut, encoded, queued, and sent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.tracing.collector import SizedSpan, SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .encoder import OtlpChunk, OtlpEncoder
from .exporter import SpanExporter, on_event_loop
from .intake import Intake
from .native_rows import NativeRow, is_native, native_row
from .outgoing import Customize, outgoing
from .packing import Unpacker

logger = logging.getLogger("flask_braintrust_evals")


class SpanPipeline:
    """Sends the spans of one run to Braintrust with the caller's session.

    The :class:`SpanCollector` has the tracer that records spans, and keeps them until their case
    ends. Then they are cut to the sizes that Braintrust accepts, the :class:`OtlpEncoder` encodes
    them, and a :class:`SpanExporter` queues and sends the bytes. The few that OTLP cannot express
    to Braintrust take the same way as rows; see :mod:`.native_rows`.

    Args:
        session: the caller's.
        parent: the Braintrust object that the spans belong to, as the value of
            ``braintrust.parent`` and of the header ``x-bt-parent``.
        processor: delivers the spans of the application's own tracers.
        timeout: seconds that :meth:`flush` may take.
        row_fields: the fields by which a row names that object; ``None``: they are not known, and
            all spans are sent over OTLP.
        stack_traces: whether spans are sent with the stack traces of their exceptions.
        keeper: see :class:`SpanCollector`.
        customizer: returns what changes each span before it is sent; ``None``: nothing does.

    Attributes:
        collector: collects the spans of running cases.
    """

    def __init__(
        self,
        session: UserSession,
        parent: str,
        processor: CaseSpanProcessor,
        timeout: float,
        row_fields: Mapping[str, str] | None = None,
        stack_traces: bool = True,
        keeper: SpanKeeper | None = None,
        customizer: Callable[[], Customize | None] = lambda: None,
    ) -> None:
        self._stack_traces = stack_traces
        self._customizer = customizer
        self._parent = parent
        self._timeout = timeout
        self._encoder = OtlpEncoder()
        self._lock = new_lock()
        self._last_delivery: Job[None] | None = None
        self._unpacker = Unpacker()
        self._row_fields = row_fields
        intake = Intake(session, parent)
        self._spans: SpanExporter[OtlpChunk] = SpanExporter(intake.send_spans)
        self._rows: SpanExporter[NativeRow] = SpanExporter(intake.send_rows)
        self.collector = SpanCollector(
            processor, self._encode, self._send_full_batches, keeper=keeper
        )

    @property
    def lost(self) -> int:
        """The number of spans that were not delivered."""
        return self._spans.lost + self._rows.lost + self._encoder.failed

    def deliver_case(self, trace_id: int) -> None:
        """Send the spans of a running case that have ended so far, and keep them for its scorers.

        What Braintrust does not accept at once is sent later, and no error is raised. Nothing is
        sent if the calling thread runs an event loop, which must not wait.
        """
        if on_event_loop():
            return
        self._deliver_in_turn(trace_id)
        self._spans.send_queued()

    def _deliver_in_turn(self, trace_id: int) -> None:
        """Deliver the spans of a case when other scorers have queued all that they deliver.

        Each waits for the one before it, and not for a lock: one of gevent's that several threads
        of the operating system wait for is not always handed on.
        """
        own = Job[None]()
        with self._lock:
            before, self._last_delivery = self._last_delivery, own
        try:
            if before is not None:
                before.wait_until_done()
            self.collector.deliver_ended(trace_id)
        finally:
            own.succeed(None)
            with self._lock:
                if self._last_delivery is own:
                    self._last_delivery = None

    def flush(self, timeout: float | None = None) -> None:
        """Send all finished spans. Those that Braintrust does not accept are counted and logged.

        Args:
            timeout: seconds that it may take, at most the pipeline's own; default: those.
        """
        timeout = self._timeout if timeout is None else min(timeout, self._timeout)
        deadline = time.monotonic() + timeout
        # Rows are few. If they cannot be sent, the other spans still have their time.
        self._rows.flush(timeout / 2)
        self._spans.flush(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Accept no more spans. Called when the last worker of the run has ended."""
        self.collector.close()

    def add_packed(self, packed: Sequence[Mapping[str, Any]], lost: int = 0) -> None:
        """Queue spans that a worker has encoded; see :class:`WorkerSpans`.

        Args:
            packed: the spans.
            lost: the number of spans that could not be sent from there.
        """
        for each in packed:
            self._spans.add(self._unpacker.chunk(each))
        self._spans.lost += lost

    def _encode(self, spans: Sequence[SizedSpan]) -> None:
        sent = outgoing(spans, self._parent, self._stack_traces, self._customizer())
        if self._row_fields is not None:
            fields = self._row_fields
            sent = [
                each for each in sent if not (is_native(each[0]) and self._add_row(each[0], fields))
            ]
        for chunk in self._encoder.encode(sent):
            self._spans.add(chunk)

    def _add_row(self, span: ReadableSpan, row_fields: Mapping[str, str]) -> bool:
        """Queue a span as a row; return whether it can be one."""
        try:
            self._rows.add(native_row(span, row_fields))
        except Exception as error:  # the spans are delivered where the user's code ends them
            logger.warning("an eval span cannot be written as a row: %s", type(error).__name__)
            return False
        return True

    def _send_full_batches(self) -> None:
        self._rows.send_full_batches()
        self._spans.send_full_batches()

"""The spans of one run: ours, and those that the application's own code makes below them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Tracer

from flask_braintrust_evals.concurrency.gevent_patch import new_lock

from .otlp import EncodedSpans, SpanEncoder, request
from .run_tracer import RunTracer
from .sessions import UserSession
from .span_copies import outgoing, span_size
from .span_outbox import SpanOutbox
from .span_router import RESOURCE, SpanRouter

CASE_SPANS = 2000
"""Finished spans of one case that are kept for its scorers; older ones are sent before its end."""
LARGE_SPAN = 100_000
"""Bytes of a span that make room for itself: of many that are as large, only a few are kept."""
LATE_TRACES = 1000
"""Cases whose end is so recent that spans which end after it still find their run."""

Sized = tuple[ReadableSpan, int]
"""A span, and about how many bytes it takes."""


class RunSpans:
    """Collects the spans of one run and sends them with the caller's session.

    They are found by their trace: every case is one.

    Args:
        session: as whom.
        parent: what the spans belong to, as ``braintrust.parent`` and the ``x-bt-parent`` header
            have it.
        router: tells of the spans of a trace.
        limit: seconds that :meth:`flush` may take.
    """

    def __init__(self, session: UserSession, parent: str, router: SpanRouter, limit: float) -> None:
        self._session = session
        self._parent = parent
        self._router = router
        self._limit = limit
        self._encoder = SpanEncoder()
        self._outbox = SpanOutbox(self._send)
        self._receive = self.adopt  # one object for all cases
        self._lock = new_lock()
        self._cases: dict[int, list[Sized]] = {}
        self._late: OrderedDict[int, None] = OrderedDict()
        self._closed = False

    @property
    def tracer(self) -> Tracer:
        """The tracer whose spans are collected here."""
        return RunTracer(RESOURCE, self._begin, self._receive)

    @property
    def lost(self) -> int:
        """How many spans Braintrust did not take."""
        return self._outbox.lost + self._encoder.failed

    def finished(self, trace_id: int) -> Sequence[ReadableSpan]:
        """Return the spans of a running case that have ended so far, in the order of their ends."""
        with self._lock:
            return tuple(span for span, _ in self._cases.get(trace_id, ()))

    def adopt(self, span: ReadableSpan) -> None:
        """Take a finished span of one of the run's traces."""
        size = span_size(span)
        ready: list[Sized] = []
        forgotten: list[int] = []
        trace_id, is_root = span.context.trace_id, span.parent is None
        with self._lock:
            case = self._cases.get(trace_id)
            if self._closed:
                return
            if case is None:
                ready = [(span, size)]
            else:
                case.append((span, size))
                if is_root:
                    ready = self._cases.pop(trace_id)
                    forgotten = self._expect_late_spans(trace_id)
                elif len(case) > CASE_SPANS or size > LARGE_SPAN:
                    half = (len(case) + 1) // 2
                    ready, case[:] = case[:half], case[half:]
        self._post(ready)
        if is_root:
            self._forget(forgotten)
            self._outbox.send_full_batches()

    def flush(self, limit: float | None = None) -> None:
        """Send everything that is finished. What Braintrust does not take is counted and logged.

        Args:
            limit: seconds that it may take, where that is less than usual.
        """
        self._outbox.flush(self._limit if limit is None else min(limit, self._limit))

    def close(self) -> None:
        """Take no more spans. Called when the run's last worker has left."""
        with self._lock:
            self._closed = True
            traces = [*self._cases, *self._late]
            self._cases.clear()
            self._late.clear()
        self._forget(traces)

    def _begin(self, trace_id: int) -> None:
        with self._lock:
            if self._closed:
                return
            self._cases[trace_id] = []
        self._router.add(trace_id, self._receive)

    def _expect_late_spans(self, trace_id: int) -> list[int]:
        """Note that a case has ended; return those whose end is too long ago by now."""
        self._late[trace_id] = None
        too_many = len(self._late) - LATE_TRACES
        return [self._late.popitem(last=False)[0] for _ in range(too_many)]

    def _forget(self, traces: Sequence[int]) -> None:
        for trace_id in traces:
            self._router.remove(trace_id)

    def _post(self, spans: Sequence[Sized]) -> None:
        sized = (outgoing(span, self._parent, size) for span, size in spans)
        for encoded in self._encoder.encode(sized):
            self._outbox.add(encoded)

    def _send(self, batch: list[EncodedSpans], seconds: float) -> None:
        # The application may have instrumented ``requests``: sending spans must not make spans.
        token = otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            self._session.api(
                "POST",
                "/otel/v1/traces",
                data=request(batch),
                headers={"Content-Type": "application/x-protobuf", "x-bt-parent": self._parent},
                timeout=seconds,
                retry=False,
                parse=False,  # OTLP answers in protobuf
            )
        finally:
            otel_context.detach(token)

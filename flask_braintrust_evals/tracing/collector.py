"""Collects the finished spans of a run, case by case."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan

from .processor import CaseSpanProcessor
from .sizes import plain_attributes, span_size
from .span_keeper import SpanKeeper
from .usage import usage_of
from .usage_collector import UsageCollector

MAX_CASE_SPANS = 2000
"""Finished spans of one case that are kept for its scorers. Where there are more, the older half is
delivered before the case ends."""
LARGE_SPAN_BYTES = 100_000
"""A span of this size also makes the collector deliver the older half of its case's spans."""
MAX_LATE_CASES = 1000
"""Finished cases whose late spans are still accepted."""

SizedSpan = tuple[ReadableSpan, int]
"""A finished span, and about how many bytes it takes."""


class SpanCollector(UsageCollector):
    """Collects the spans of one run and delivers those of a case when it ends. Thread-safe.

    Every case is a trace of its own: a span belongs to the case that has its trace id.

    Args:
        processor: brings in the spans that the application's own tracers record in these traces.
        deliver: called with finished spans that need no longer be kept: those of a case that has
            ended, and each span that ends after its case.
        case_ended: called after the spans of a case have been delivered.
        max_late_cases: finished cases whose late spans are still accepted.
        keeper: keeps the spans of running cases for the client of the run; ``None``: it has not
            asked for them.
    """

    def __init__(
        self,
        processor: CaseSpanProcessor,
        deliver: Callable[[Sequence[SizedSpan]], None],
        case_ended: Callable[[], None] = lambda: None,
        max_late_cases: int = MAX_LATE_CASES,
        keeper: SpanKeeper | None = None,
    ) -> None:
        super().__init__(processor)
        self._deliver = deliver
        self._case_ended = case_ended
        self._max_late_cases = max_late_cases
        self._keeper = keeper
        self._cases: dict[int, list[SizedSpan]] = {}
        self._delivered: dict[int, int] = {}
        """How many spans at the beginning of a case's list have been delivered and are kept."""
        self._late: OrderedDict[int, None] = OrderedDict()
        self._closed = False

    def of_case(self, trace_id: int) -> Sequence[ReadableSpan]:
        """Return the spans of a running case that have ended so far, in the order of their ends."""
        with self._lock:
            return tuple(span for span, _ in self._cases.get(trace_id, ()))

    def deliver_ended(self, trace_id: int) -> None:
        """Deliver the spans of a running case that have ended so far, and go on keeping them."""
        with self._lock:
            case = self._cases.get(trace_id, [])
            ready = case[self._delivered.get(trace_id, 0) :]
            if ready:
                self._delivered[trace_id] = len(case)
            deliver = self._deliver
        if ready:
            deliver(ready)

    def add(self, span: ReadableSpan) -> None:
        """Add a finished span of one of the run's traces."""
        if self._keeper is not None:
            self._keeper.add(span)
        size = span_size(span)
        own = usage_of(plain_attributes(span))
        ready: Sequence[SizedSpan] = ()
        expired: Sequence[int] = ()
        trace_id, is_root = span.context.trace_id, span.parent is None
        with self._lock:
            case = self._cases.get(trace_id)
            if self._closed:
                return
            deliver, case_ended = self._deliver, self._case_ended  # close() may come meanwhile
            if case is None:
                ready = [(span, size)]
            else:
                case.append((span, size))
                if own or self._usage:  # most spans have none
                    self._usage.add(span, own)
                if is_root:
                    del self._cases[trace_id]
                    ready = case[self._delivered.pop(trace_id, 0) :]
                    self._usage.pop(trace_id, None)
                    expired = self._expect_late_spans(trace_id)
                elif len(case) > MAX_CASE_SPANS or size > LARGE_SPAN_BYTES:
                    half = (len(case) + 1) // 2
                    delivered = self._delivered.pop(trace_id, 0)
                    ready, case[:] = case[delivered:half], case[half:]
                    if delivered > half:
                        self._delivered[trace_id] = delivered - half
        if ready:
            deliver(ready)
        if is_root:
            self._unwatch(expired)
            case_ended()

    def close(self) -> None:
        """Accept no more spans. Called when the last worker of the run has ended."""
        with self._lock:
            self._closed = True
            # These lead back to this object, which would exist until a garbage collection.
            self._deliver = lambda spans: None
            self._receive = lambda span: None
            self._case_ended = lambda: None
            traces = [*self._cases, *self._late]
            self._cases.clear()
            self._delivered.clear()
            self._usage.clear()
            self._late.clear()
        self._unwatch(traces)

    def _begin_case(self, trace_id: int) -> None:
        with self._lock:
            if self._closed:
                return
            self._cases[trace_id] = []
            # Not after close(), which does not watch any case any more.
            self._processor.watch(trace_id, self._receive)
        if self._keeper is not None:
            self._keeper.begin(trace_id)

    def _expect_late_spans(self, trace_id: int) -> list[int]:
        """Note that a case has ended; return those that ended too long ago to be watched."""
        self._late[trace_id] = None
        expired = []
        while len(self._late) > self._max_late_cases:
            expired.append(self._late.popitem(last=False)[0])
        return expired

    def _unwatch(self, traces: Sequence[int]) -> None:
        for trace_id in traces:
            self._processor.unwatch(trace_id)

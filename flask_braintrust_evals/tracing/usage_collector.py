"""Collects the tokens and the cost of a run's cases, where nobody wants their spans."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Tracer

from flask_braintrust_evals.concurrency.gevent_patch import new_lock

from .processor import CaseSpanProcessor
from .tracer import RecordingTracer
from .usage import CaseUsage, UsageByCase, usage_of


class UsageCollector:
    """Adds up the usage of running cases, and keeps none of their spans. Thread-safe.

    Args:
        processor: brings in the spans that the application's own tracers record in these traces.
    """

    def __init__(self, processor: CaseSpanProcessor) -> None:
        self._processor = processor
        self._receive: Callable[[ReadableSpan], None] = self.add  # one object for all cases
        self._lock = new_lock()
        self._running: set[int] = set()
        self._usage = UsageByCase()

    @property
    def tracer(self) -> Tracer:
        """A tracer whose spans are collected here."""
        processor = self._processor
        return RecordingTracer(self._begin_case, self._receive, processor.delivers, self._is_own)

    def of_case(self, trace_id: int) -> Sequence[ReadableSpan]:
        """Return the spans of a running case that are kept: none."""
        return ()

    def usage_of_case(self, root: SpanContext, *, ended: bool) -> CaseUsage:
        """Return tokens and cost of a running case, by the spans that have ended so far.

        The arguments are those of :meth:`UsageByCase.of`.
        """
        if not self._usage:  # most runs
            return CaseUsage()
        with self._lock:
            return self._usage.of(root, ended)

    def add(self, span: ReadableSpan) -> None:
        """Add a finished span of one of the run's traces."""
        own, trace_id = usage_of(span.attributes), span.context.trace_id
        is_root = span.parent is None
        if is_root:
            self._processor.unwatch(trace_id)
        elif not own and not self._usage:  # most spans
            return
        with self._lock:
            if is_root:
                self._running.discard(trace_id)
                self._usage.pop(trace_id, None)
            elif trace_id in self._running:
                self._usage.add(span, own)

    def _is_own(self, trace_id: int) -> bool:
        return self._processor.is_of(trace_id, self._receive)

    def _begin_case(self, trace_id: int) -> None:
        with self._lock:
            self._running.add(trace_id)
        self._processor.watch(trace_id, self._receive)

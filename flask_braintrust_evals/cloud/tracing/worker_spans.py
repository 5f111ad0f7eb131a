"""The spans of a run on a worker, which has no session to send them with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from flask_braintrust_evals.tracing.collector import SizedSpan, SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .encoder import OtlpEncoder
from .outgoing import Customize, outgoing
from .packing import pack

Packed = dict[str, Any]


class WorkerSpans:
    """Collects spans by case and encodes them, for the process that sends them.

    It is the first half of :class:`SpanPipeline`. The ``eval`` span of a case is neither encoded
    nor customized: the other process goes on with it.

    Args:
        parent: the value of ``braintrust.parent``.
        processor: delivers the spans of the application's own tracers.
        late: called with spans that do not belong to a case that just ends.
        stack_traces: whether spans are sent with the stack traces of their exceptions.
        keeper: see :class:`SpanCollector`.
        customizer: see :class:`SpanPipeline`.

    Attributes:
        collector: collects the spans of running cases.
    """

    def __init__(
        self,
        parent: str,
        processor: CaseSpanProcessor,
        late: Callable[[list[Packed]], None],
        stack_traces: bool = True,
        keeper: SpanKeeper | None = None,
        customizer: Callable[[], Customize | None] = lambda: None,
    ) -> None:
        self._parent = parent
        self._customizer = customizer
        self._late = late
        self._stack_traces = stack_traces
        self._encoder = OtlpEncoder()
        self._ended: dict[int, tuple[ReadableSpan, list[Packed]]] = {}
        self.collector = SpanCollector(processor, self._deliver, keeper=keeper)

    def take(self, trace_id: int) -> tuple[ReadableSpan | None, list[Packed]]:
        """Return the ``eval`` span of a case that has ended, and its other spans, encoded."""
        return self._ended.pop(trace_id, (None, []))

    def close(self) -> None:
        """Accept no more spans."""
        self.collector.close()

    def _deliver(self, spans: Sequence[SizedSpan]) -> None:
        roots = [each for each in spans if each[0].parent is None]
        others = [each for each in spans if each[0].parent is not None]
        sent = self._outgoing(others, self._customizer())
        packed = [pack(chunk) for chunk in self._encoder.encode(sent)]
        root = next((span for span, _ in self._outgoing(roots, None)), None)
        if root is not None and root.context is not None:
            self._ended[root.context.trace_id] = root, packed
        elif packed:
            self._late(packed)

    def _outgoing(self, spans: Sequence[SizedSpan], customize: Customize | None) -> list[SizedSpan]:
        return outgoing(spans, self._parent, self._stack_traces, customize)

"""Says which case the code belongs to that is running, and which span of it is the current one."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from opentelemetry.trace import INVALID_SPAN, Span, get_current_span

from .eval_tracer import EvalTracer


@dataclass(slots=True, eq=False)  # not frozen: see Event
class SpanScope:
    """The task, scorer or classifier of a case that user code runs in.

    Attributes:
        tracer: starts spans of the case's run.
        inherited: entries of ``braintrust.span_attributes`` that all spans below get, such as
            the ``purpose`` of a scorer's spans.
        org_url: the web address of the caller's organisation in Braintrust, if known.
        span: the span of the case that was made current last.
    """

    tracer: EvalTracer
    inherited: Mapping[str, str] = field(default_factory=dict)
    org_url: str | None = None
    span: Span = INVALID_SPAN

    def current_span(self) -> Span:
        """Return the current span; if it does not reach the case, the nearest one that does.

        A span of the application's own does not if its sampler drops it, or if its tracer is not of
        the global provider. What is recorded on it would be lost, and what is started below it
        would be below a span that nobody has. Nor does one of a context that user code attaches,
        which may be that of another case.
        """
        span, known = get_current_span(), self.span.get_span_context()
        context = span.get_span_context()
        if context.span_id == known.span_id or context.trace_id != known.trace_id:
            return self.span
        return span if self.tracer.delivers(context) else self.span


current_scope: ContextVar[SpanScope | None] = ContextVar("braintrust_evals_scope", default=None)
"""Set around each task, scorer and classifier of a run that is recorded for a caller."""

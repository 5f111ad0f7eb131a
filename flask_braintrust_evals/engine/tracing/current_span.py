"""Finds the span of a case that is current for code which records on it."""

from __future__ import annotations

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span, set_span_in_context

from .eval_tracer import EvalTracer

_KEY = otel_context.create_key("braintrust-evals-case-span")


def context_with(span: Span) -> Context:
    """Return the current context, with a span of a case as its current span."""
    return set_span_in_context(span, otel_context.set_value(_KEY, span))


def current_span_of(tracer: EvalTracer, code_span: Span) -> Span:
    """Return the current span; if it does not reach the case, the nearest one that does.

    A span of the application's own does not if its sampler drops it, if it was made without a
    tracer provider, or by one that :class:`CaseSpanProcessor` is not added to. What is recorded on
    it would be lost, and what is started below it would be below a span that nobody has.

    Args:
        tracer: that of the case's run.
        code_span: the span of the task, scorer or classifier whose code is running.
    """
    span, nearest = get_current_span(), otel_context.get_value(_KEY)
    trace_id = code_span.get_span_context().trace_id
    # User code may have attached a context without spans, or that of another case.
    if not isinstance(nearest, Span) or nearest.get_span_context().trace_id != trace_id:
        nearest = code_span
    context = span.get_span_context()
    if context.span_id == nearest.get_span_context().span_id or context.trace_id != trace_id:
        return nearest
    return span if tracer.delivers(context) else nearest

"""Changes spans as they must be before they are encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan

from flask_braintrust_evals.tracing.collector import SizedSpan
from flask_braintrust_evals.tracing.sizes import span_size

from .limits import within_limits
from .stack_traces import without_stack_traces

Customize = Callable[[ReadableSpan], ReadableSpan]
"""Returns the span that is to be sent instead of a span."""


def outgoing(
    spans: Sequence[SizedSpan], parent: str, stack_traces: bool, customize: Customize | None
) -> list[SizedSpan]:
    """Return spans as they may be sent to Braintrust.

    Args:
        spans: the spans, each with its size.
        parent: the Braintrust object that they belong to, as the value of ``braintrust.parent``.
        stack_traces: whether to keep the stack traces of their exceptions.
        customize: changes each span as the application wants it; ``None``: it has no such wish.
    """
    if not stack_traces:
        spans = [(without_stack_traces(span), size) for span, size in spans]
    if customize is not None:
        customized = [customize(span) for span, _ in spans]
        spans = [(span, span_size(span)) for span in customized]
    return [within_limits(span, parent, size) for span, size in spans]

"""What is done to spans before they are encoded."""

from __future__ import annotations

from collections.abc import Sequence

from flask_braintrust_evals.tracing.collector import SizedSpan

from .limits import within_limits
from .stack_traces import without_stack_traces


def outgoing(spans: Sequence[SizedSpan], parent: str, stack_traces: bool) -> list[SizedSpan]:
    """Return spans as they may be sent to Braintrust.

    Args:
        spans: the spans, each with its size.
        parent: the Braintrust object that they belong to, as the value of ``braintrust.parent``.
        stack_traces: whether to keep the stack traces of their exceptions.
    """
    if not stack_traces:
        spans = [(without_stack_traces(span), size) for span, size in spans]
    return [within_limits(span, parent, size) for span, size in spans]

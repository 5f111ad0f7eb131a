"""Keeps the spans of running cases in memory, for scorers that ask for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from opentelemetry.sdk.trace import ReadableSpan

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import process_processor

FinishedSpans = Callable[[int], Sequence[ReadableSpan]]
"""Returns the spans of a running case that have ended, by the id of its trace."""


def with_memory(
    tracer: EvalTracer | None, scorers: Iterable[ScorerCall]
) -> tuple[EvalTracer | None, FinishedSpans]:
    """Return a tracer that records in memory, where a scorer wants spans and nothing records them.

    Args:
        tracer: that of the run; ``None``: nothing is recorded.
        scorers: the scorers and classifiers of the run.

    Returns:
        the tracer to use, and what returns its spans.
    """
    if not any(scorer.takes("trace") for scorer in scorers):
        return tracer, lambda trace_id: ()
    processor = process_processor()
    processor.attach()
    collector = SpanCollector(processor, deliver=lambda spans: None, max_late_cases=0)
    return dataclasses.replace(tracer or EvalTracer(), tracer=collector.tracer), collector.of_case

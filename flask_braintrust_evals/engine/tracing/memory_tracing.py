"""Keeps the spans of running cases in memory, where nothing records them and somebody wants them.

Scorers may want the spans of their case, and the consumer of a run the tokens and the cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from flask_braintrust_evals.engine.calls.signatures import ScorerCall, TaskCall
from flask_braintrust_evals.engine.tracing import span_classes
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import process_processor, sdk_provider
from flask_braintrust_evals.tracing.usage import CaseUsage
from flask_braintrust_evals.tracing.usage_collector import UsageCollector

from .eval_tracer import EvalTracer
from .span_scope import current_scope


class CaseCollector(Protocol):
    """The part of a :class:`SpanCollector` that is about running cases."""

    def of_case(self, trace_id: int) -> Sequence[ReadableSpan]:
        """Return the spans of a case that have ended so far."""

    def usage_of_case(self, root: SpanContext, *, ended: bool) -> CaseUsage:
        """Return tokens and cost of a case."""


@dataclass(frozen=True)
class Memory:
    """Spans of running cases that are recorded in memory.

    Attributes:
        tracer: the tracer to use.
        collector: has its spans.
        joins_sdk: whether what the ``braintrust`` SDK traces is recorded, too.
    """

    tracer: EvalTracer
    collector: CaseCollector
    joins_sdk: bool


def memory_for(
    given: EvalTracer | None, task: TaskCall, scorers: Iterable[ScorerCall], usage: bool
) -> Memory | None:
    """Return what records in memory; ``None``: nobody wants spans that there may be.

    Args:
        given: the run's tracer, which records nothing; ``None``: it has none.
        task: the task of the run.
        scorers: the scorers and classifiers of the run.
        usage: whether the consumer of the run wants tokens and cost.
    """
    wants_spans = any(scorer.takes("trace") for scorer in scorers)
    # A process whose use of the SDK is traced by the SDK's own logger goes on with that, except in
    # a run that a case of a caller begins: its values are the caller's, and the logger's are not.
    is_inside = current_scope.get() is not None
    has_logger = span_classes.sdk_has_logger()
    joins_sdk = wants_spans or given is not None or is_inside or not has_logger
    if not wants_spans and not (usage and _may_be_traced(task, joins_sdk)):
        return None
    processor = process_processor(install=False)
    processor.attach()
    given = given or EvalTracer()
    if not wants_spans:
        adding = UsageCollector(processor)
        tracer = dataclasses.replace(given, tracer=adding.tracer, contents=False)
        return Memory(tracer, adding, joins_sdk)
    keeping = SpanCollector(processor, deliver=lambda spans: None, max_late_cases=0)
    return Memory(dataclasses.replace(given, tracer=keeping.tracer), keeping, joins_sdk)


def _may_be_traced(task: TaskCall, joins_sdk: bool) -> bool:
    """Return whether there is a way for spans to have tokens: recording costs time."""
    return (
        task.takes("hooks")
        or (joins_sdk and span_classes.find_span_class() is not None)
        or sdk_provider() is not None
    )

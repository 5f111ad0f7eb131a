"""Runs the cases of a run on a worker, as its order says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask_braintrust_evals.cloud.tracing.limits import MAX_ATTRIBUTE_BYTES
from flask_braintrust_evals.cloud.tracing.worker_spans import WorkerSpans
from flask_braintrust_evals.distribution.messaging.orders import RecordingOrder, RunOrder
from flask_braintrust_evals.distribution.messaging.span_records import record_of
from flask_braintrust_evals.distribution.worker.worker_runs import ReceiveSpans
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.semconv import PARENT
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .host import Host


class WorkerCases:
    """Runs the cases of one run on a worker: a :class:`WorkerRun`.

    ``receive_spans`` takes spans that end after their case.

    Raises:
        RequestError: the parameters are not valid for this evaluator.
    """

    def __init__(
        self, order: RunOrder, evaluator: Evaluator, host: Host, receive_spans: ReceiveSpans
    ) -> None:
        parameters = evaluator.parameter_set.validate(order.parameters)
        plan = host.plan_of(evaluator, order.retries)
        if not order.error_scores:
            plan = replace(plan, error_score_handler=None)
        keeper = SpanKeeper() if order.case_spans else None
        self._spans = _worker_spans(order, host, receive_spans, keeper)
        self._memory = None
        if keeper is not None and self._spans is None:
            self._memory = host.spans_in_memory(keeper)
        collector = self._memory if self._spans is None else self._spans.collector
        recording = order.recording
        runner = CaseRunner(
            plan,
            parameters,
            reserved_names=order.reserved_names,
            tracer=_worker_tracer(recording, collector),
            collector=collector,
            keeper=keeper,
            usage=order.usage,
            span_class=host.sdk_spans(),
            org_url=None if recording is None else recording.org_url,
            scope=host.scope,
        )
        self.executor: CaseExecutor = LocalExecutor(runner)

    def take_spans(self, trace_id: int) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the spans of a case that has ended."""
        if self._spans is None:
            return None, []
        root, packed = self._spans.take(trace_id)
        return None if root is None else record_of(root), packed

    def close(self) -> None:
        """Record no more spans."""
        for spans in (self._spans, self._memory):
            if spans is not None:
                spans.close()


def _worker_spans(
    order: RunOrder, host: Host, receive_spans: ReceiveSpans, keeper: SpanKeeper | None
) -> WorkerSpans | None:
    recording = order.recording
    if recording is None:
        return None
    host.span_processor.attach()
    return WorkerSpans(
        recording.parent,
        host.span_processor,
        receive_spans,
        recording.stack_traces,
        keeper,
        host.sdk_customizer,
    )


def _worker_tracer(recording: RecordingOrder | None, collector: SpanCollector | None) -> EvalTracer:
    if collector is None:
        return EvalTracer()
    if recording is None:
        return EvalTracer(collector.tracer, max_json=MAX_ATTRIBUTE_BYTES)
    generation = recording.generation
    return EvalTracer(
        collector.tracer,
        attributes={PARENT: recording.parent},
        span_attributes={} if generation is None else {"generation": generation},
        keeps_row_ids=recording.keeps_row_ids,
        max_json=MAX_ATTRIBUTE_BYTES,
    )

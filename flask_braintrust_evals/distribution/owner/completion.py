"""Completes a case whose outcome a worker has reported: its last scorers, and its span."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode

from flask_braintrust_evals.distribution.messaging.reports import has_failed_on_the_way
from flask_braintrust_evals.distribution.messaging.span_records import restore
from flask_braintrust_evals.engine.calls.signatures import ScorerCall, unique_names
from flask_braintrust_evals.engine.parameters.values import copy_for_case
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.case_scope import CaseScope
from flask_braintrust_evals.engine.running.scoring.case_scorer import CaseScorer
from flask_braintrust_evals.engine.running.scoring.error_scores import add_error_scores
from flask_braintrust_evals.engine.tracing import attributes
from flask_braintrust_evals.engine.tracing.eval_tracer import set_failure
from flask_braintrust_evals.engine.values.results import CaseError, CaseResult
from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.tracing.case_spans import CaseSpans
from flask_braintrust_evals.tracing.span_ids import SpanIds

AddSpans = Callable[[Sequence[Any], int], None]
"""Takes encoded spans of a run, and the number of those that were lost on the way."""


class CaseCompletion:
    """Completes the cases of one run.

    Args:
        runner: what the evaluator's cases have in common, as in this process.
        scorers: scorers that are called in this process: they need the caller's session.
        add_spans: takes the spans that come with outcomes.
    """

    def __init__(
        self, runner: CaseRunner, scorers: Sequence[ScorerCall], add_spans: AddSpans
    ) -> None:
        self._runner = runner
        self._add_spans = add_spans
        plan = runner.plan
        all_scorers = unique_names((*plan.scorers, *scorers))
        own = all_scorers[len(plan.scorers) :]
        self.reserved_names = [scorer.name for scorer in own]
        names = [scorer.name for scorer in all_scorers]
        self._scorer = CaseScorer(own, (), names, runner.code, None, runner.scope) if own else None

    @property
    def calls_error_handler(self) -> bool:
        """Whether the ``error_score_handler`` is called here: it is told of all failed scorers."""
        return self._scorer is not None

    def complete(
        self,
        result: CaseResult,
        outcome: Mapping[str, Any] | None,
        ids: SpanIds,
        ordered_at: int,
    ) -> None:
        """Complete the result of a case, and record its ``eval`` span.

        Args:
            result: the result, as the worker has reported it.
            outcome: what was reported; ``None``: the case was lost, and nothing was.
            ids: the ids of the span.
            ordered_at: when the case was ordered, in nanoseconds since 1970.
        """
        if result.output_data is not None:
            result.output = loads(result.output_data)
        if outcome is not None:
            self._add_spans(outcome["spans"], outcome["lost_spans"])
        record = None if outcome is None else outcome["root"]
        span = self._start(result, record, ids, ordered_at)
        is_lost = outcome is None or has_failed_on_the_way(outcome, result)
        if result.error is not None and (is_lost or record is None):
            _record_failure(span, result.error)
        began = time.monotonic_ns()
        try:
            if not result.interrupted and (self._scorer is not None or is_lost):
                self._score(result, span, is_lost)
            elif record is None:  # its span was lost on the way
                attributes.record(span, result, self._runner.code.tracer)
        finally:
            end = time.time_ns() if record is None else record["end"]
            span.end(end + time.monotonic_ns() - began)
        keeper = self._runner.keeper
        if keeper is not None:
            of_worker = result.spans or CaseSpans()
            result.spans = of_worker.followed_by(keeper.take(ids.trace_id))
        if not self._runner.keeps_outputs:
            result.forget_output()

    def _start(
        self,
        result: CaseResult,
        record: Mapping[str, Any] | None,
        ids: SpanIds,
        ordered_at: int,
    ) -> Span:
        tracer, described = self._runner.code.tracer, None
        if record is None:
            row_id = tracer.row_id(result.case, result.ref.trial_index)
            described = attributes.description(result.case, row_id, tracer)
        else:
            ordered_at = record["start"]
        span = tracer.start(
            "eval",
            "eval",
            attributes=described,
            context=self._runner.context,
            start_time=ordered_at,
            ids=ids,
        )
        if record is not None:
            restore(record, span)
        return span

    def _score(self, result: CaseResult, span: Span, is_lost: bool) -> None:
        runner, plan = self._runner, self._runner.plan
        of_scope = None
        if result.output_data is not None:
            # The task did not fail: the worker's application context did, at its exit.
            of_scope, result.error = result.error, None
        failed = _failed_scorers(result, [scorer.name for scorer in plan.scorers])
        scope = CaseScope(runner.scope)

        def complete() -> None:
            if self._scorer is not None:
                parameters = copy_for_case(runner.parameters)
                failed.extend(self._scorer.score(result, span, parameters, scope.note_error))
            attributes.record(span, result, runner.code.tracer)
            if self.calls_error_handler or is_lost:
                add_error_scores(plan.error_score_handler, failed, result, span, runner.code)

        try:
            try:
                scope.run(complete)
            finally:
                scope.leave()
        except Exception as error:  # entering or exiting the scope failed
            set_failure(span, error)
            failure = runner.code.failure("application context", error, result.ref)
            result.error = result.error or of_scope or failure
        result.error = result.error or of_scope


def _record_failure(span: Span, error: CaseError) -> None:
    span.add_event(
        "exception",
        {
            "exception.type": error.type,
            "exception.message": error.message,
            "exception.stacktrace": error.stack or str(error),
        },
    )
    span.set_status(Status(StatusCode.ERROR, str(error)))


def _failed_scorers(result: CaseResult, names: Sequence[str]) -> list[str]:
    """Return the names of the evaluator's scorers that gave nothing; all, if the task failed."""
    if result.error is not None:
        return list(names)
    return [name for name in names if name in result.scorer_errors]

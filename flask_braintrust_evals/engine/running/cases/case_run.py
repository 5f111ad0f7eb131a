"""One case while it runs: its task, then its scorers and classifiers.

What user code raises becomes part of the case's result, and goes no further.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.channel import ChannelClosedError
from flask_braintrust_evals.concurrency.job import DeadlineError
from flask_braintrust_evals.concurrency.turns import wait_after
from flask_braintrust_evals.engine.calls.plan import CasePlan
from flask_braintrust_evals.engine.parameters.values import Parameters, copy_for_case
from flask_braintrust_evals.engine.running.scoring.case_scorer import CaseScorer
from flask_braintrust_evals.engine.running.scoring.error_scores import add_error_scores
from flask_braintrust_evals.engine.running.user_code.user_code import ProgressReports, UserCode
from flask_braintrust_evals.engine.tracing import attributes
from flask_braintrust_evals.engine.tracing.eval_tracer import set_failure, span_id
from flask_braintrust_evals.engine.tracing.memory_tracing import CaseCollector
from flask_braintrust_evals.engine.values.copies import own_copy
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseRef, CaseResult
from flask_braintrust_evals.engine.values.summary import DURATION, RETRIES
from flask_braintrust_evals.errors import RunError
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.json_cuts import json_within
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .case_scope import CaseScope
from .executor import CaseJob, Emit
from .hooks import EvalHooks, left_by_task
from .retries import call_with_retries
from .task_values import output_data, own_metadata


class RunOfCases(Protocol):
    """The part of a :class:`.CaseRunner` that its cases use; its docstring describes the fields."""

    plan: CasePlan
    parameters: Parameters
    cancellation: Cancellation
    scope: Callable[[], AbstractContextManager[Any]]
    collector: CaseCollector | None
    keeper: SpanKeeper | None
    keeps_outputs: bool
    context: str
    code: UserCode
    scorer: CaseScorer


class CaseRun:
    """One case while it runs: its result so far, its ``eval`` span, and what its task has."""

    def __init__(self, runner: RunOfCases, job: CaseJob, emit: Emit) -> None:
        self._runner = runner
        self._code = runner.code
        self._emit = emit
        case = job.case
        tracer = self._code.tracer
        row_id = tracer.row_id(case, job.trial_index)
        self._description = attributes.description(case, row_id, tracer)
        self._timed_out = False
        self._cancellation = runner.cancellation
        self._reports: ProgressReports | None = None
        self._hooks: EvalHooks | None = None
        self._scope = CaseScope(runner.scope)
        self._watch = tracer.stopwatch()
        self._span = tracer.start(
            "eval",
            "eval",
            attributes=self._description,
            context=runner.context,
            start_time=self._watch.start,
            ids=job.ids,
        )
        self._parameters = copy_for_case(runner.parameters)
        self._result = CaseResult(
            CaseRef(row_id or span_id(self._span), job.index, job.trial_index, case.origin),
            case,
            metadata=own_metadata(case.metadata),
            tags=list(case.tags or ()),
        )

    def run(self) -> CaseResult:
        result = self._result
        self._emit(CaseStarted(result.ref, result.case))
        started = time.monotonic()
        try:
            try:
                self._run_task()
                self._scope.run(self._finish)
            finally:
                self._scope.leave()
        except ChannelClosedError:
            raise
        except Exception as error:
            # The scope's own: entering or exiting it may fail, for instance in teardown functions.
            self._fail_scope(error)
        finally:
            self._add_usage()
            self._watch.end_span(self._span)
        if self._runner.keeper is not None:
            result.spans = self._runner.keeper.take(self._span.get_span_context().trace_id)
        result.duration = time.monotonic() - started
        if not self._runner.keeps_outputs:
            result.forget_output()
        self._emit(CaseFinished(result))
        return result

    def _finish(self) -> None:
        """Emit what the task gave, and have it scored and recorded."""
        result, span = self._result, self._span
        failed: list[str] = []
        try:
            if not (self._runner.keeps_outputs or self._runner.scorer.has_calls):
                result.output = None  # while its JSON waits for the consumer
            self._emit(TaskFinished(result.ref, result.output_data, result.error))
            failed = self._runner.scorer.score(
                result, span, self._parameters, self._scope.note_error
            )
        finally:
            attributes.record(span, result, self._code.tracer)
        if result.interrupted:
            return  # neither done nor failed
        # After the result is recorded: what the handler logs on the span is merged into it.
        if failed:
            handler = self._runner.plan.error_score_handler
            add_error_scores(handler, failed, result, span, self._code)

    def _add_usage(self) -> None:
        collector = self._runner.collector
        if collector is not None:
            usage = collector.usage_of_case(self._span.get_span_context(), ended=True)
            self._result.metrics.update(usage.task)
            self._result.scorer_metrics = usage.scorers

    def _fail_scope(self, error: Exception) -> None:
        result = self._result
        set_failure(self._span, error)
        answered = result.error is not None or result.output_data is not None
        result.error = result.error or self._code.failure("application context", error, result.ref)
        if not answered:
            self._emit(TaskFinished(result.ref, None, result.error))

    def _run_task(self) -> None:
        code, runner = self._code, self._runner
        watch = code.tracer.stopwatch()
        self._task_span = code.tracer.start(
            "task",
            "task",
            self._span,
            attributes=attributes.of_task(self._description) if self._description else None,
            context=runner.context,
            start_time=watch.start,
        )
        try:
            with code.within(self._task_span):
                if runner.plan.task_timeout is None:
                    self._run_task_within()
                else:
                    with runner.cancellation.child() as self._cancellation:
                        self._run_task_within()
        finally:
            watch.end_span(self._task_span)

    def _run_task_within(self) -> None:
        result = self._result
        self._scope.enter()
        if self._runner.plan.task.hooks_name is not None:
            self._reports = ProgressReports(functools.partial(_report, self._emit, result.ref))
            self._hooks = self._make_hooks(self._reports)
        self._began = time.monotonic()
        try:
            self._call_task()
        # SystemExit and KeyboardInterrupt end the case, never the worker.
        except BaseException as error:
            self._scope.note_error(error)
            set_failure(self._task_span, error)
            set_failure(self._span, error)
            result.error = self._code.failure("task", error, result.ref)
            result.interrupted = self._runner.cancellation.is_set()
        finally:
            result.metrics[DURATION] = time.monotonic() - self._began
            if self._reports is not None:
                self._reports.close()
            if self._hooks is not None:
                result.metadata, result.tags = left_by_task(self._hooks)
                self._hooks = None  # the task may have put large values into them
            if self._cancellation is not self._runner.cancellation:
                # A task that timed out goes on, and may still change them.
                result.metadata, result.tags = own_metadata(result.metadata), [*result.tags]
            if self._timed_out:
                self._cancellation.set()  # not before: the task may then change them at once

    def _make_hooks(self, reports: ProgressReports) -> EvalHooks:
        result = self._result
        return EvalHooks(
            expected=result.case.expected,
            metadata=result.metadata,
            tags=result.tags,
            parameters=self._parameters,
            trial_index=result.ref.trial_index,
            span=self._code.user_span(self._task_span),
            cancel_event=self._cancellation.event,
            report=reports,
        )

    def _call_task(self) -> None:
        result = self._result
        try:
            if self._runner.plan.retries:
                output = self._call_again()
            else:
                output = self._call_once(result.case.input)
        except DeadlineError:
            self._timed_out = True
            raise self._time_out() from None
        if self._runner.cancellation.is_set():
            raise RunError("the run was cancelled before the task returned")
        result.output_data = self._scope.run(output_data, output)
        wait_after(len(result.output_data))
        result.output = output
        if self._code.tracer.records_contents:
            text = json_within(result.output_data, self._code.tracer.max_json)
            self._task_span.set_attribute(semconv.OUTPUT, text)

    def _time_out(self) -> TimeoutError:
        seconds = self._runner.plan.task_timeout or 0
        return TimeoutError(f"the task's time-out of {seconds:g} seconds was reached")

    def _call_once(self, input: Any) -> Any:
        plan = self._runner.plan
        task = functools.partial(plan.task, input, self._hooks, self._parameters)
        return self._scope.run(
            self._code.call, task, self._reports, plan.task_timeout, self._cancellation
        )

    def _call_again(self) -> Any:
        """Call the task until it succeeds. Each call gets the case as it was at first.

        Each has a scope of its own, which is exited before the pause: what a failed call has begun,
        such as a transaction, must not be part of the next one.
        """
        plan, case = self._runner.plan, self._result.case
        failures = 0

        def call() -> Any:
            try:
                return self._call_once(own_copy(case.input))
            except BaseException as error:
                is_late = isinstance(error, DeadlineError)
                self._scope.note_error(self._time_out() if is_late else error)
                self._scope.leave()
                raise

        def begin_again() -> None:
            nonlocal failures
            failures += 1
            self._began = time.monotonic()
            self._parameters = copy_for_case(self._runner.parameters)
            if self._hooks is not None:
                metadata = own_metadata(case.metadata)
                self._hooks.begin_again(metadata, case.tags or (), self._parameters)

        try:
            return call_with_retries(call, plan.retries, self._cancellation, begin_again, plan.name)
        finally:
            if failures:
                self._result.metrics[RETRIES] = failures
                attributes.merge_json(self._task_span, semconv.METRICS, {RETRIES: failures})


def _report(emit: Emit, ref: CaseRef, event: Mapping[str, str]) -> None:
    with suppress(ChannelClosedError):  # the task learns from its cancel_event
        emit(CaseProgress(ref, event))

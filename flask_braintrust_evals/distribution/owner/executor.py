"""Runs the cases of a run on workers, as far as its consumer can see: a :class:`CaseExecutor`."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import format_span_id

from flask_braintrust_evals.concurrency.channel import ChannelClosedError
from flask_braintrust_evals.distribution.messaging.attachment_sender import OwnerStore, store_sent
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder
from flask_braintrust_evals.distribution.messaging.reports import Report, add_outcome, error_of
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor, CaseJob, Emit
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.errors import EvalsError, RunError
from flask_braintrust_evals.tracing.span_ids import SpanIds, new_ids

from .attempts import CaseCancelledError, CaseLostError, OrderedRun
from .case_values import CaseValueError, case_fields, foreign_value
from .completion import CaseCompletion
from .dispatcher import Dispatcher

logger = logging.getLogger("flask_braintrust_evals")


class RemoteExecutor:
    """Orders cases from workers, and emits the events of what they report.

    Args:
        dispatcher: that of the process.
        run: the run, which is open.
        runner: runs in this process what workers cannot: the scorers that need the caller's
            session, and cases for which ``stays_here`` returns true.
        completion: what this process does with the outcome of a case.
        local: runs these cases.
        stays_here: returns whether a value that JSON cannot hold must be used in this process.
        store: stores the large attachments that workers send; ``None``: they send none.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        run: OrderedRun,
        runner: CaseRunner,
        completion: CaseCompletion,
        local: CaseExecutor,
        stays_here: Callable[[Any], bool] = lambda value: False,
        store: OwnerStore | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._run = run
        self._runner = runner
        self._completion = completion
        self._local = local
        self._stays_here = stays_here
        self._store = store
        self._numbers = itertools.count()

    def run(self, job: CaseJob, emit: Emit) -> None:
        """Run one case; see :class:`CaseExecutor`."""
        foreign = foreign_value(job.case)
        if foreign is not None and self._stays_here(foreign.value):
            self._local.run(job, emit)
            return
        case = _RemoteCase(job, self._runner.code.tracer, emit, self._store)
        case.start()
        outcome: Mapping[str, Any] | None = None
        failure: EvalsError | None = None
        try:
            order = CaseOrder(
                next(self._numbers),
                1,
                job.index,
                job.trial_index,
                case.ids,
                case_fields(job.case, foreign),
            )
            outcome = self._dispatcher.run_case(self._run, order, case.take)
        except CaseCancelledError:
            case.interrupt()
        except (CaseLostError, CaseValueError) as error:
            logger.warning("case %d has failed: %s", job.index + 1, error)
            case.fail(error)
        except EvalsError as error:  # of the whole run
            failure = error
            case.fail(error, is_interrupted=True)
        if outcome is not None:
            add_outcome(outcome, case.result)
        case.finish_task()
        self._completion.complete(case.result, outcome, case.ids, case.ordered_at)
        case.finish()
        if failure is not None:
            raise failure

    def cancel(self) -> None:
        """Cancel the cases on all workers, and what runs here."""
        try:
            self._dispatcher.cancel(self._run)
        finally:  # also if the caller is interrupted: nobody does it later
            self._local.cancel()

    def close(self) -> None:
        """End the run: workers forget it. Call it when no worker of the run is left."""
        self._dispatcher.close(self._run)


class _RemoteCase:
    """One case that is ordered: its result so far, and the events that were emitted.

    When the run has ended, its consumer takes no more events. What workers still report within a
    few seconds is recorded all the same, such as the spans of what has run.
    """

    def __init__(
        self, job: CaseJob, tracer: EvalTracer, emit: Emit, store: OwnerStore | None
    ) -> None:
        case = job.case
        self.ids: SpanIds = new_ids()
        self.ordered_at = time.time_ns()
        self._began = time.monotonic()
        row_id = tracer.row_id(case, job.trial_index) or format_span_id(self.ids.span_id)
        ref = CaseRef(row_id, job.index, job.trial_index, case.origin)
        self.result = CaseResult(
            ref, case, metadata=dict(case.metadata or {}), tags=list(case.tags or ())
        )
        self._emit_event = emit
        self._store = store
        self._closed: ChannelClosedError | None = None
        self._is_answered = False

    def start(self) -> None:
        self._emit_event(CaseStarted(self.result.ref, self.result.case))

    def take(self, report: Report) -> None:
        """Take what a worker reports before the outcome."""
        if report.kind == "progress":
            self._emit(CaseProgress(self.result.ref, report.content))
        elif report.kind == "task":
            output_json, failure = report.content
            self.result.output_data = None if output_json is None else output_json.encode()
            self.result.error = error_of(failure)
            self.finish_task()
        elif report.kind == "attachment" and self._store is not None:
            store_sent(report.content, self._store)

    def interrupt(self) -> None:
        """Note that the run was cancelled before the task returned."""
        result = self.result
        if result.output_data is None and result.error is None:
            error = RunError("the run was cancelled before the task returned")
            self.fail(error, is_interrupted=True)

    def fail(self, error: EvalsError, is_interrupted: bool = False) -> None:
        """Note that the case could not be run."""
        result = self.result
        result.output_data, result.error = None, CaseError(type(error).__name__, str(error))
        result.interrupted = is_interrupted
        result.duration = time.monotonic() - self._began

    def finish_task(self) -> None:
        """Emit the output, or the failure, of the task: once, whatever a second attempt returns."""
        result = self.result
        if not self._is_answered:
            self._is_answered = True
            self._emit(TaskFinished(result.ref, result.output_data, result.error))

    def finish(self) -> None:
        """Emit the result, or raise that the run has ended."""
        self._emit(CaseFinished(self.result))
        if self._closed is not None:
            raise self._closed

    def _emit(self, event: Event) -> None:
        if self._closed is None:
            try:
                self._emit_event(event)
            except ChannelClosedError as error:
                self._closed = error

"""Runs one case: its task, then its scorers and classifiers. No user code fails beyond here."""

from __future__ import annotations

import copy
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from opentelemetry.trace import Span

from flask_braintrust_evals import semconv
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.channel import ChannelClosedError
from flask_braintrust_evals.concurrency.mailbox import DeadlineError
from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.serialization import dumps

from . import case_spans
from .calls.signatures import ScorerCall
from .case_scorer import CaseScorer
from .evaluator import Evaluator
from .hooks import EvalHooks
from .parameters.values import Parameters
from .tracing import RunTracing, Stopwatch, set_failure, span_id
from .user_code import Reports, UserCode
from .values.cases import EvalCase
from .values.events import CaseFinished, CaseProgress, CaseStarted, Event, TaskFinished
from .values.results import CaseRef, CaseResult

logger = logging.getLogger("flask_braintrust_evals")

Emit = Callable[[Event], None]


class CaseRunner:
    """All that the cases of one run have in common.

    Args:
        evaluator: what is run.
        parameters: the run's validated parameters.
        extra_scorers: scorers beside the evaluator's own, called with the same arguments.
        tracing: where spans go; see :class:`UserCode`.
        cancellation: tells tasks that the run is over.
        scope: entered around each case, in the thread that runs it, such as Flask's application
            context.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        parameters: Parameters,
        *,
        extra_scorers: Sequence[ScorerCall] = (),
        tracing: RunTracing | None = None,
        cancellation: Cancellation | None = None,
        scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.evaluator = evaluator
        self.cancellation = cancellation or Cancellation()
        self._parameters = parameters
        self._code = UserCode(evaluator, tracing, self.cancellation)
        self._scorer = CaseScorer(evaluator, parameters, extra_scorers, self._code)
        self._scope = scope

    def run(self, case: EvalCase, index: int, trial_index: int, emit: Emit) -> CaseResult:
        """Run one case, telling ``emit`` of everything that happens.

        Returns:
            the result, which is also in the last event. A failing task or scorer is in the result.
        """
        tracing = self._code.tracing
        described = case_spans.description(case) if tracing.records else {}
        watch = Stopwatch()
        span = tracing.start("eval", "eval", attributes=described, start_time=watch.start)
        ref = CaseRef(span_id(span), index, trial_index, case.origin)
        result = CaseResult(
            ref, case, metadata=_own_copy(case.metadata), tags=list(case.tags or ())
        )
        emit(CaseStarted(ref, case))
        started = time.monotonic()
        recorded = False
        try:
            with self._scope():
                self._run_task(result, span, described, emit)
                emit(TaskFinished(ref, result.output_json, result.error))
                failed = self._scorer.score(result, span)
                # Before the handler, so that what it logs comes on top.
                case_spans.record(span, result)
                recorded = True
                self._scorer.handle_errors(failed, result, span)
        except ChannelClosedError:
            raise
        except Exception as error:
            # The scope's own: what it closes is the application's.
            self._fail_scope(result, error, span, emit)
        finally:
            if not recorded:
                case_spans.record(span, result)
            span.end(watch.end())
        result.duration = time.monotonic() - started
        emit(CaseFinished(result))
        return result

    def _fail_scope(self, result: CaseResult, error: Exception, span: Span, emit: Emit) -> None:
        set_failure(span, error)
        answered = result.error is not None or result.output_json is not None
        result.error = result.error or self._code.failure("application context", error, result.ref)
        if not answered:
            emit(TaskFinished(result.ref, None, result.error))

    def _run_task(
        self, result: CaseResult, parent: Span, described: dict[str, Any], emit: Emit
    ) -> None:
        def tell(event: Mapping[str, str]) -> None:
            with suppress(ChannelClosedError):  # cancel_event tells the task
                emit(CaseProgress(result.ref, event))

        reports = Reports(tell)
        with (
            self._code.span(
                "task", "task", parent, attributes=case_spans.of_task(described)
            ) as span,
            self._limited() as cancellation,
        ):
            hooks = self._hooks(result, span, cancellation, reports)
            try:
                self._call_task(result, span, hooks, cancellation, reports)
            # SystemExit and its like end the case, never the worker.
            except BaseException as error:
                set_failure(span, error)
                set_failure(parent, error)
                result.error = self._code.failure("task", error, result.ref)
            finally:
                reports.close()
                result.metadata, result.tags = hooks.metadata or {}, hooks.tags
                if cancellation is not self.cancellation:  # the task may go on, and change them
                    result.metadata, result.tags = _own_copy(hooks.metadata), [*hooks.tags]

    def _limited(self) -> AbstractContextManager[Cancellation]:
        """What cancels one case: with a time-out of its own, not only what ends the run."""
        if self.evaluator.task_timeout is None:
            return nullcontext(self.cancellation)
        return self.cancellation.child()

    def _hooks(
        self, result: CaseResult, span: Span, cancellation: Cancellation, reports: Reports
    ) -> EvalHooks:
        return EvalHooks(
            expected=result.case.expected,
            metadata=result.metadata,
            tags=result.tags,
            parameters=self._parameters,
            trial_index=result.ref.trial_index,
            span=self._code.shown(span),
            cancel_event=cancellation.event,
            report=reports,
        )

    def _call_task(
        self,
        result: CaseResult,
        span: Span,
        hooks: EvalHooks,
        cancellation: Cancellation,
        reports: Reports,
    ) -> None:
        limit = self.evaluator.task_timeout
        task = functools.partial(
            self.evaluator.task_call, result.case.input, hooks, self._parameters
        )
        try:
            output = self._code.call(task, reports=reports, limit=limit, cancellation=cancellation)
        except DeadlineError:
            cancellation.set()
            message = f"the task's time-out of {limit or 0:g} seconds was reached"
            raise TimeoutError(message) from None
        result.output_json = _output_json(output)
        result.output = output
        span.set_attribute(semconv.OUTPUT, result.output_json)


def _own_copy(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy that a task may change without changing that of the case's other trials."""
    if not metadata:
        return {}
    try:
        return copy.deepcopy(dict(metadata))
    except Exception:  # it holds something that cannot be copied
        return dict(metadata)


def _output_json(output: Any) -> str:
    try:
        return dumps(output)
    except SerializationError as error:
        raise SerializationError(f"the task's output cannot be written as JSON: {error}") from error

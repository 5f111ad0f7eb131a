"""Calls user code: inside a span, in a real thread or on the event loop where that is needed."""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, set_span_in_context

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.gevent_patch import is_patched, start_thread
from flask_braintrust_evals.concurrency.held_scope import holding
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.concurrency.loops import greenlet_loops
from flask_braintrust_evals.concurrency.loops.event_loop import background_loop
from flask_braintrust_evals.concurrency.native_threads import NativeCall
from flask_braintrust_evals.concurrency.processes import child_processes
from flask_braintrust_evals.concurrency.processes.forks import refuse_forks
from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.engine.calls.plan import CasePlan
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.tracing.span_scope import SpanScope, current_scope
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef
from flask_braintrust_evals.texts.error_places import place_text
from flask_braintrust_evals.texts.error_texts import message_text, stack_text

from .blocking_calls import BlockingCalls
from .late_calls import LateCalls
from .loop_advice import add_advice, with_loop_advice

logger = logging.getLogger("flask_braintrust_evals")

_NOTHING: Mapping[str, str] = {}
_NOT_AWAITABLE = frozenset((bool, dict, float, int, list, str, type(None)))


def is_awaitable(value: Any) -> bool:
    """Return what ``inspect.isawaitable`` does, which takes ten times as long for most values."""
    return type(value) not in _NOT_AWAITABLE and inspect.isawaitable(value)


def _refuse() -> Any:
    raise DeadlineError


class ProgressReports:
    """Routes what a task reports with ``hooks.report_progress``.

    A report is emitted directly on the worker's thread. While the worker waits for code that runs
    elsewhere, reports go through the :class:`Job` that it waits for, so that the worker emits them.

    Args:
        emit: called with each report, on the worker's thread.
    """

    def __init__(self, emit: Callable[[Any], None] = lambda report: None) -> None:
        self._emit = emit
        self._job: Job[Any] | None = None
        self._closed = False

    def __call__(self, report: Any) -> None:
        job = self._job
        if self._closed:
            return  # from something that the task left running
        if job is not None:
            job.post(report)
        else:
            self._emit(report)

    def close(self) -> None:
        """Ignore further reports."""
        self._closed = True

    @contextmanager
    def through_job(self) -> Iterator[Job[Any]]:
        """Make a job for code that runs elsewhere; inside, reports go through it."""
        self._job = Job(self._emit)
        try:
            yield self._job
        finally:
            self._job = None


class SpanBlock:
    """A block of code in which a span is current, for OpenTelemetry and for the SDK.

    Args:
        span: the span.
        scope: what the SDK's spans inside belong to; ``None``: the SDK is not affected.
    """

    __slots__ = ("_attached", "_scope", "_span", "_token")

    def __init__(self, span: Span, scope: SpanScope | None) -> None:
        self._span = span
        self._scope = scope
        self._attached: Token[Context] | None = None

    def __enter__(self) -> Span:
        self._token = current_scope.set(self._scope)
        # One that records nothing changes nothing where no other span is current.
        if self._span is not INVALID_SPAN or otel_context.get_current():
            self._attached = otel_context.attach(set_span_in_context(self._span))
        return self._span

    def __exit__(self, *_: object) -> None:
        if self._attached is not None:
            otel_context.detach(self._attached)
        current_scope.reset(self._token)


class UserCode:
    """Calls the task, the scorers and the classifiers of one run.

    Args:
        plan: the evaluator's.
        tracer: starts spans; ``None``: nothing is recorded.
        cancellation: ends what is waited for.
        span_class: the class of the spans that user code gets; default: :class:`EvalSpan`.
        org_url: the web address of the caller's organisation in Braintrust, if known.
        joins_sdk: whether what the ``braintrust`` SDK traces belongs to the run. If not, it is not
            affected.
    """

    def __init__(
        self,
        plan: CasePlan,
        tracer: EvalTracer | None,
        cancellation: Cancellation,
        span_class: type[EvalSpan] | None = None,
        org_url: str | None = None,
        joins_sdk: bool = True,
    ) -> None:
        self.tracer = tracer or EvalTracer()
        self.cancellation = cancellation
        self.evaluator = plan.name
        # Without gevent, the workers are real threads themselves.
        self.in_real_threads = plan.blocking and is_patched()
        self._blocking_calls = BlockingCalls(plan.name)
        self._late_calls = LateCalls(plan.name)
        self._joins_sdk = joins_sdk and tracer is not None
        self._span_class = span_class or EvalSpan
        self._org_url = org_url
        greenlet_loops.install()
        child_processes.prepare()
        refuse_forks()

    def within(self, span: Span, inherited: Mapping[str, str] = _NOTHING) -> SpanBlock:
        """Make ``span`` current in a block, so that whatever is traced inside goes below it.

        Args:
            span: the span.
            inherited: entries of ``braintrust.span_attributes`` of the spans below it.
        """
        return SpanBlock(span, self._scope_of(span, inherited))

    def make_current(self, span: Span, inherited: Mapping[str, str] = _NOTHING) -> None:
        """Make ``span`` current for good. For a context that is not used for anything else."""
        SpanBlock(span, self._scope_of(span, inherited)).__enter__()

    def _scope_of(self, span: Span, inherited: Mapping[str, str]) -> SpanScope | None:
        return SpanScope(self.tracer, inherited, self._org_url, span) if self._joins_sdk else None

    def user_span(self, span: Span) -> EvalSpan:
        """Return a span in the form that user code gets."""
        return self._span_class(span, SpanScope(self.tracer, org_url=self._org_url, span=span))

    def call(
        self,
        function: Callable[[], Any],
        reports: ProgressReports | None = None,
        timeout: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Any:
        """Call a function and return its result; that of its coroutine if it is ``async``.

        Args:
            function: what to call.
            reports: what it reports while it runs.
            timeout: seconds after which it is no longer waited for; it may go on running.
            cancellation: ends what is waited for; default: the run's.

        Raises:
            DeadlineError: the timeout has passed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        cancellation = cancellation or self.cancellation
        try:
            try:
                if timeout is None and not self.in_real_threads:
                    returned = function()
                else:
                    reports = reports or ProgressReports()
                    returned = self._call_in_thread(function, reports, deadline, cancellation)
            except RuntimeError as error:
                self.advise(error)
                raise
            if not is_awaitable(returned):
                return returned
            run = background_loop().run
            if reports is None:
                return run(returned, cancellation, None, deadline, self.evaluator)
            with reports.through_job() as job:
                return run(returned, cancellation, job, deadline, self.evaluator)
        finally:
            wait_for_turn(Turn.CONTINUE)

    def advise(self, error: BaseException) -> None:
        """Add to the error of a plain function what to write, if an event loop could not run."""
        if isinstance(error, RuntimeError) and is_patched() and not self.in_real_threads:
            add_advice(error)

    def _call_in_thread(
        self,
        function: Callable[[], Any],
        reports: ProgressReports,
        deadline: float | None,
        cancellation: Cancellation,
    ) -> Any:
        held = holding(function, _refuse)  # also if nobody waits for it any more
        in_context = functools.partial(contextvars.copy_context().run, held)
        with reports.through_job() as job:
            call = self.start_thread(
                functools.partial(job.run, in_context), "eval-with-timeout", job
            )
            with cancellation.calling(job.cancel):  # which does nothing in a thread of its own
                try:
                    return job.wait(deadline)
                except DeadlineError:
                    job.leave()
                    if call is None:
                        self._late_calls.add(job)
                    else:
                        self._blocking_calls.give_up(call)
                    raise

    def start_thread(self, work: Callable[[], None], name: str, job: Job[Any]) -> NativeCall | None:
        """Run ``work`` in a thread: one of the operating system's if the user code blocks.

        Args:
            work: ends ``job``.
            name: the name of a thread that is started for it.
            job: what waits for it.

        Returns:
            the call, if it is made in one of the threads that all runs share.

        Raises:
            RuntimeError: the system has no more threads.
        """
        if self.in_real_threads:
            return self._blocking_calls.start(work, job)
        start_thread(work, name)
        return None

    def failure(self, what: str, error: BaseException, ref: CaseRef) -> CaseError:
        """Log a failure, and return it in the form that results have."""
        logger.info(
            "evaluator %r: %s failed on case %d: %s",
            self.evaluator,
            what,
            ref.index + 1,
            type(error).__name__,
            exc_info=error,
        )
        text, stack = with_loop_advice(message_text(error), error), stack_text(error)
        return CaseError(type(error).__name__, text, stack, place_text(error))

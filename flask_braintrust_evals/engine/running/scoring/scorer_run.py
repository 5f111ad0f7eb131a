"""Calls a scorer or classifier for one case, while others may be called at the same time."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ParamSpec

from opentelemetry.trace import Span

from flask_braintrust_evals.concurrency.held_scope import HeldScope
from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.loops.event_loop import background_loop
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.running.user_code.user_code import UserCode, is_awaitable
from flask_braintrust_evals.errors import RunError
from flask_braintrust_evals.tracing import semconv

P = ParamSpec("P")


class ScorerRun:
    """One scorer or classifier that is called for one case, inside a span of its own.

    It runs in a context of its own, with a scope of its own: what several have in common, such as a
    database session that belongs to Flask's application context, may not be used by two threads.

    Args:
        scorer: the scorer or classifier.
        kind: ``"score"`` or ``"classifier"``: the type of its span.
        arguments: what it may ask for, by name.
        attributes: attributes of its span, ready to be recorded.
        context: what its span stands for in the code; see :meth:`EvalTracer.start`.
        parent: the case's ``eval`` span.
        code: the run's user code.
        scope: see :class:`CaseRunner`; ``None``: it needs none of its own.

    Attributes:
        span: its span. :meth:`end` ends it.
        seconds: how long the call took; for an ``async`` one only until it returned its coroutine.
    """

    def __init__(
        self,
        scorer: ScorerCall,
        kind: str,
        arguments: Mapping[str, Any],
        attributes: Mapping[str, Any],
        context: str,
        parent: Span,
        code: UserCode,
        scope: Callable[[], AbstractContextManager[Any]] | None,
    ) -> None:
        self.scorer = scorer
        self.kind = kind
        self.seconds = 0.0
        self._arguments = arguments
        self._code = code
        self._scope = scope
        self._context = contextvars.copy_context()
        self._entered: HeldScope | None = None
        self._job: Job[Any] | None = None
        self._returned: Any = None
        self._error: BaseException | None = None
        self._ended_ns = 0
        self._watch = code.tracer.stopwatch()
        self.span = code.tracer.start(
            scorer.name,
            kind,
            parent,
            extra=semconv.OF_SCORERS,
            attributes=attributes,
            context=context,
            start_time=self._watch.start,
        )

    @property
    def has_scope(self) -> bool:
        """Whether it has a scope of its own."""
        return self._scope is not None

    def start(self, in_thread: bool, then: Callable[[], None] = lambda: None) -> None:
        """Call the scorer.

        Args:
            in_thread: whether to call it in a thread of its own, and not in the calling one. Its
                coroutine, if it is ``async``, runs on the event loop either way.
            then: called in that thread when the scorer has returned.
        """
        try:
            self._enter()
            if in_thread or self._code.in_real_threads:
                self._start_thread(then)
            else:
                self._context.run(self._run, None)
        except BaseException as error:
            self._job, self._error, self._ended_ns = None, error, time.monotonic_ns()

    def prepare(self) -> Callable[[], None]:
        """Return a function that calls the scorer, in any thread; :meth:`wait` waits for it.

        It does not call the scorer if the run has been cancelled.
        """
        job = self._job = Job[Any]()

        def call() -> None:
            try:
                if self._code.cancellation.is_set():
                    raise RunError("the run was cancelled before the scorer was called")
                self._enter()
                self._context.copy().run(self._run, job)
            except BaseException as error:
                job.fail(error)

        return call

    def _start_thread(self, then: Callable[[], None]) -> None:
        context, job = self._context.copy(), Job[Any]()
        self._job = job

        def work() -> None:
            context.run(self._run, job)
            then()

        try:
            self._code.start_thread(work, "eval-scorer", job)
        except RuntimeError:  # the system has no more threads
            work()

    def wait(self) -> None:
        """Wait until the scorer, or its coroutine, has ended. Cancelled with the run."""
        job = self._job
        if job is not None:
            with self._code.cancellation.calling(job.cancel):
                job.wait_until_done()
            self._ended_ns = job.ended_ns

    def result(self) -> Any:
        """Return what the scorer returned; raise what it raised. Call :meth:`wait` first."""
        if self._error is not None:
            raise self._error
        return self._returned if self._job is None else self._job.result()

    def in_context(self, function: Callable[P, Any], *args: P.args, **keywords: P.kwargs) -> None:
        """Call ``function`` in the scorer's context, inside its span and its scope."""
        self._context.run(function, *args, **keywords)

    def end(self, error: BaseException | None) -> None:
        """Exit the scope, and end the span with the time at which the scorer ended.

        Args:
            error: why it gave nothing, of which its scope is told.
        """
        try:
            if self._entered is not None:
                self._entered.leave(error)
        finally:
            self._watch.end_span(self.span, self._ended_ns)
            self._job = self._error = None  # whose frames refer to this

    def _enter(self) -> None:
        self._context.run(self._code.make_current, self.span, semconv.OF_SCORERS)
        if self._scope is not None:
            self._entered = HeldScope(self._scope(), self._context)

    def _run(self, job: Job[Any] | None) -> None:
        """Call the scorer; have a coroutine awaited; keep the result here or in ``job``."""
        began = time.perf_counter()
        try:
            try:
                returned = self.scorer(self._arguments)
            finally:
                self.seconds = time.perf_counter() - began
            if is_awaitable(returned):
                job = self._job = job or Job()
                code = self._code
                background_loop().start(returned, code.cancellation, job, code.evaluator)
            elif job is not None:
                job.succeed(returned)
            else:
                self._returned, self._ended_ns = returned, time.monotonic_ns()
        except BaseException as error:
            self._code.advise(error)
            if job is None:
                raise
            job.fail(error)
            job = None  # the error refers to this frame

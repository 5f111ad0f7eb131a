"""How a run calls its user's code: below a span, and waited for where it is ``async``."""

from __future__ import annotations

import contextvars
import inspect
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, set_span_in_context

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.channel import start_worker
from flask_braintrust_evals.concurrency.event_loop import background_loop
from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.mailbox import Mailbox
from flask_braintrust_evals.concurrency.native_threads import real_threads
from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.serialization import clean_text, safe_text

from .evaluator import Evaluator
from .spans import EvalSpan, SpanScope, current_scope
from .tracing import RunTracing, Stopwatch
from .values.results import CaseError, CaseRef

logger = logging.getLogger("flask_braintrust_evals")

_NOTHING: Mapping[str, str] = {}


class Reports:
    """What a task reports while it runs: told at once, or by the worker that waits for it.

    Args:
        tell: called with each report, by the worker.
    """

    def __init__(self, tell: Callable[[Any], None] = lambda report: None) -> None:
        self._tell = tell
        self._mailbox: Mailbox | None = None
        self._closed = False

    def __call__(self, report: Any) -> None:
        mailbox = self._mailbox
        if self._closed:
            return  # from something that the task left running
        if mailbox is not None:
            mailbox.post(report)
        else:
            self._tell(report)

    def close(self) -> None:
        """Take no more reports."""
        self._closed = True

    @contextmanager
    def waiting(self) -> Iterator[Mailbox]:
        """While the worker waits for what runs elsewhere, reports reach it by the mailbox."""
        self._mailbox = Mailbox(self._tell)
        try:
            yield self._mailbox
        finally:
            self._mailbox = None


class UserCode:
    """What the calls of one run have in common.

    Args:
        evaluator: whose code it is.
        tracing: where spans go; ``None``: nowhere, and what the user's code traces by other means
            is its own affair.
        cancellation: ends what is waited for.
    """

    def __init__(
        self, evaluator: Evaluator, tracing: RunTracing | None, cancellation: Cancellation
    ) -> None:
        self.tracing = tracing or RunTracing()
        self.cancellation = cancellation
        self._evaluator = evaluator.name
        # Without gevent, the workers are real threads themselves.
        self._in_real_threads = evaluator.blocking and is_patched()
        self._is_recorded = tracing is not None

    @contextmanager
    def span(
        self,
        name: str,
        kind: str,
        parent: Span,
        inherited: Mapping[str, str] = _NOTHING,
        attributes: Mapping[str, Any] = _NOTHING,
    ) -> Iterator[Span]:
        """A span for what is called inside.

        Args:
            name: the span's name.
            kind: its type for Braintrust.
            parent: the span above it.
            inherited: entries of ``braintrust.span_attributes``, for spans below it too.
            attributes: further attributes, ready to be recorded.
        """
        watch = Stopwatch()
        span = self.tracing.start(
            name, kind, parent, extra=inherited, attributes=attributes, start_time=watch.start
        )
        try:
            with self.within(span, inherited):
                yield span
        finally:
            span.end(watch.end())

    @contextmanager
    def within(self, span: Span, inherited: Mapping[str, str] = _NOTHING) -> Iterator[None]:
        """Have whatever is traced inside go below ``span``."""
        scope = SpanScope(self.tracing, inherited) if self._is_recorded else None
        token = current_scope.set(scope)
        attached = otel_context.attach(set_span_in_context(span))
        try:
            yield
        finally:
            otel_context.detach(attached)
            current_scope.reset(token)

    def shown(self, span: Span) -> EvalSpan:
        """Return a span in the form that users get it in."""
        made: EvalSpan = (self.tracing.span_class or EvalSpan)(span, SpanScope(self.tracing))
        return made

    def call(
        self,
        function: Callable[[], Any],
        *,
        reports: Reports | None = None,
        limit: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Any:
        """Call a function and return what it returns; what its coroutine does if it is ``async``.

        Args:
            function: what to call.
            reports: what it reports while it runs.
            limit: seconds after which it is not waited for any longer; it may go on.
            cancellation: ends what is waited for; default: the run's.

        Raises:
            DeadlineError: the limit was reached.
        """
        deadline = None if limit is None else time.monotonic() + limit
        reports = reports or Reports()
        try:
            if limit is None and not self._in_real_threads:
                returned = function()
            else:
                returned = self._call_elsewhere(function, reports, deadline)
            if not inspect.isawaitable(returned):
                return returned
            with reports.waiting() as mailbox:
                return background_loop().run(
                    returned, cancellation or self.cancellation, mailbox, deadline
                )
        finally:
            wait_for_turn(Turn.CONTINUE)

    def _call_elsewhere(
        self, function: Callable[[], Any], reports: Reports, deadline: float | None
    ) -> Any:
        context = contextvars.copy_context()
        results: list[Any] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                results.append(context.run(function))
            except BaseException as error:
                failures.append(error)
            finally:
                mailbox.finish()

        with reports.waiting() as mailbox:
            if self._in_real_threads:
                real_threads().submit(work)
            else:
                start_worker(work, "eval-with-limit")
            mailbox.deliver(deadline)
        if failures:
            raise failures[0]
        return results[0]

    def failure(self, what: str, error: BaseException, ref: CaseRef) -> CaseError:
        """Log a failure, and return it as results have it."""
        logger.info(
            "evaluator %r: %s failed on case %d: %s",
            self._evaluator,
            what,
            ref.index,
            type(error).__name__,
            exc_info=error,
        )
        stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        return CaseError(type(error).__name__, safe_text(error), clean_text(stack))

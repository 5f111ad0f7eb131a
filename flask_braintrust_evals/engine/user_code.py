"""How a run calls its user's code: below a span, and waited for where it is ``async``."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span, use_span

from flask_braintrust_evals.serialization import clean_text, safe_text

from .cancellation import Cancellation
from .event_loop import Mailbox, background_loop
from .events import CaseError, CaseRef
from .spans import EvalSpan, SpanScope, current_scope
from .tracing import RunTracing

logger = logging.getLogger("flask_braintrust_evals")

_NOTHING: Mapping[str, str] = {}


class UserCode:
    """What the calls of one run have in common.

    Args:
        evaluator: the evaluator's name, for the log.
        tracing: where spans go; ``None``: nowhere, and what the user's code traces by other means
            is its own affair.
        cancellation: ends what is waited for.
    """

    def __init__(
        self, evaluator: str, tracing: RunTracing | None, cancellation: Cancellation
    ) -> None:
        self.tracing = tracing or RunTracing()
        self.cancellation = cancellation
        self._evaluator = evaluator
        self._is_recorded = tracing is not None

    @contextmanager
    def span(
        self, name: str, kind: str, parent: Span, inherited: Mapping[str, str] = _NOTHING
    ) -> Iterator[Span]:
        """A span for what is called inside.

        Args:
            name: the span's name.
            kind: its type for Braintrust.
            parent: the span above it.
            inherited: entries of ``braintrust.span_attributes``, for spans below it too.
        """
        span = self.tracing.start(name, kind, parent, extra=inherited)
        try:
            with self.within(span, inherited):
                yield span
        finally:
            span.end()

    @contextmanager
    def within(self, span: Span, inherited: Mapping[str, str] = _NOTHING) -> Iterator[None]:
        """Have whatever is traced inside go below ``span``."""
        scope = SpanScope(self.tracing, inherited) if self._is_recorded else None
        token = current_scope.set(scope)
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            current_scope.reset(token)

    def shown(self, span: Span) -> EvalSpan:
        """Return a span in the form that users get it in."""
        made: EvalSpan = (self.tracing.span_class or EvalSpan)(span, SpanScope(self.tracing))
        return made

    def settle(
        self,
        returned: Any,
        mailbox: Mailbox | None = None,
        on_post: Callable[[Any], None] = lambda item: None,
    ) -> Any:
        """Return what a plain function returned, or what the coroutine of an ``async`` one does."""
        if not inspect.isawaitable(returned):
            return returned
        return background_loop().run(returned, self.cancellation, on_post, mailbox)

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

"""Runs one case: its task, then its scorers and classifiers. No user code fails beyond here."""

from __future__ import annotations

import copy
import inspect
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry.trace import Span, use_span

from flask_braintrust_evals import semconv
from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.serialization import clean_text, dumps, safe_text

from . import case_spans
from .callables import ScorerCall, apart, free_name
from .cancellation import Cancellation
from .case_trace import CaseTrace
from .cases import EvalCase
from .evaluator import Evaluator
from .event_loop import Mailbox, background_loop, on_background_loop
from .events import (
    CaseError,
    CaseFinished,
    CaseProgress,
    CaseRef,
    CaseResult,
    CaseStarted,
    Event,
    TaskFinished,
)
from .hooks import EvalHooks
from .parameters import Parameters
from .score_names import ScoreNames
from .scores import to_classifications, to_scores
from .tracing import RunTracing, set_failure, set_json, span_id
from .workers import ChannelClosedError

logger = logging.getLogger("flask_braintrust_evals")

Emit = Callable[[Event], None]


class CaseRunner:
    """All that the cases of one run have in common.

    Args:
        evaluator: what is run.
        parameters: the run's validated parameters.
        extra_scorers: scorers beside the evaluator's own, called with the same arguments.
        tracing: where spans go.
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
        self._scorers = apart((*evaluator.scorer_calls, *extra_scorers))
        self._score_names = ScoreNames(self._scorers)
        self._classifiers = evaluator.classifier_calls
        self._tracing = tracing or RunTracing()
        self._scope = scope

    def run(self, case: EvalCase, index: int, trial_index: int, emit: Emit) -> CaseResult:
        """Run one case, telling ``emit`` of everything that happens.

        Returns:
            the result, which is also in the last event. A failing task or scorer is in the result.
        """
        span = self._tracing.start("eval", "eval")
        case_spans.describe(span, case)
        ref = CaseRef(span_id(span), index, trial_index, case.origin)
        result = CaseResult(
            ref, case, metadata=_own_copy(case.metadata), tags=list(case.tags or ())
        )
        emit(CaseStarted(ref, case))
        started = time.monotonic()
        try:
            with self._scope():
                self._run_task(result, span, emit)
                emit(TaskFinished(ref, result.output_json, result.error))
                if result.error is None:
                    self._score(result, span)
                    self._classify(result, span)
        except ChannelClosedError:
            raise
        except Exception as error:
            # The scope's own: what it closes is the application's.
            self._fail_scope(result, error, span, emit)
        finally:
            case_spans.record(span, result)
            span.end()
        result.duration = time.monotonic() - started
        emit(CaseFinished(result))
        return result

    def _fail_scope(self, result: CaseResult, error: Exception, span: Span, emit: Emit) -> None:
        set_failure(span, error)
        answered = result.error is not None or result.output_json is not None
        result.error = result.error or self._failure("application context", error, result.ref)
        if not answered:
            emit(TaskFinished(result.ref, None, result.error))

    def _run_task(self, result: CaseResult, parent: Span, emit: Emit) -> None:
        case, mailbox, reporting = result.case, Mailbox(), [True]

        def emit_progress(event: Mapping[str, str]) -> None:
            try:
                emit(CaseProgress(result.ref, event))
            except ChannelClosedError:
                pass  # cancel_event tells the task

        def report(event: Mapping[str, str]) -> None:
            if not reporting:
                return  # from something the task left running
            if on_background_loop():
                mailbox.post(event)
                return
            emit_progress(event)

        with self._span("task", "task", parent) as span:
            set_json(span, semconv.INPUT, case.input)
            set_json(span, semconv.EXPECTED, case.expected)
            hooks = EvalHooks(
                expected=case.expected,
                metadata=result.metadata,
                tags=result.tags,
                parameters=self._parameters,
                trial_index=result.ref.trial_index,
                span=span,
                cancel_event=self.cancellation.event,
                report=report,
            )
            try:
                output = self.evaluator.task_call(case.input, hooks, self._parameters)
                output = self._settle(output, mailbox, emit_progress)
                result.output_json = _output_json(output)
                result.output = output
                span.set_attribute(semconv.OUTPUT, result.output_json)
            # SystemExit and its like end the case, never the worker.
            except BaseException as error:
                set_failure(span, error)
                set_failure(parent, error)
                result.error = self._failure("task", error, result.ref)
            finally:
                reporting.clear()
                result.metadata, result.tags = hooks.metadata or {}, hooks.tags

    def _score(self, result: CaseResult, parent: Span) -> None:
        for scorer in self._scorers:
            with self._scoring(scorer, "score", result, parent) as span:
                returned = self._settle(scorer(self._arguments(result, parent)))
                scores = to_scores(returned, scorer.name)
                self._score_names.name(scores, scorer.name)
                result.scores.update({score.name: score for score in scores})
                case_spans.record_scores(span, scores)

    def _classify(self, result: CaseResult, parent: Span) -> None:
        for classifier in self._classifiers:
            with self._scoring(classifier, "classifier", result, parent) as span:
                returned = self._settle(classifier(self._arguments(result, parent)))
                classifications = to_classifications(returned, classifier.name)
                for each in classifications:
                    items = result.classifications.setdefault(each.name or classifier.name, [])
                    items.append(each.as_item())
                case_spans.record_classifications(span, classifications)

    @contextmanager
    def _scoring(
        self, scorer: ScorerCall, kind: str, result: CaseResult, parent: Span
    ) -> Iterator[Span]:
        """A span for one scorer or classifier, whose failure is kept here."""
        with self._span(scorer.name, kind, parent, purpose="scorer") as span:
            try:
                yield span
            except BaseException as error:
                set_failure(span, error)
                # A classifier may have the name of a scorer.
                name = free_name(scorer.name, set(result.scorer_errors))
                what = f"{kind} {scorer.name!r}"
                result.scorer_errors[name] = self._failure(what, error, result.ref)

    @contextmanager
    def _span(self, name: str, kind: str, parent: Span, **extra: str) -> Iterator[Span]:
        span = self._tracing.start(name, kind, parent, **extra)
        with use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            yield span

    def _arguments(self, result: CaseResult, parent: Span) -> dict[str, Any]:
        trace_id = parent.get_span_context().trace_id
        return {
            "input": result.case.input,
            "output": result.output,
            "expected": result.case.expected,
            "metadata": result.metadata,
            "tags": result.tags,
            "id": result.case.id,
            "trace": CaseTrace(lambda: self._tracing.finished(trace_id)),
            "parameters": self._parameters,
        }

    def _settle(
        self,
        returned: Any,
        mailbox: Mailbox | None = None,
        on_post: Callable[[Any], None] = lambda item: None,
    ) -> Any:
        """What a plain function returned, or what the coroutine of an ``async`` one returns."""
        if not inspect.isawaitable(returned):
            return returned
        return background_loop().run(returned, self.cancellation, on_post, mailbox)

    def _failure(self, what: str, error: BaseException, ref: CaseRef) -> CaseError:
        logger.info(
            "evaluator %r: %s failed on case %d: %s",
            self.evaluator.name,
            what,
            ref.index,
            type(error).__name__,
            exc_info=error,
        )
        stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        return CaseError(type(error).__name__, safe_text(error), clean_text(stack))


def _own_copy(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy that a task may change without changing that of the case's other trials."""
    try:
        return copy.deepcopy(dict(metadata or {}))
    except Exception:  # it holds something that cannot be copied
        return dict(metadata or {})


def _output_json(output: Any) -> str:
    try:
        return dumps(output)
    except SerializationError as error:
        raise SerializationError(f"the task's output cannot be written as JSON: {error}") from error

"""Scores one case with scorers and classifiers, all at the same time."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, format_trace_id

from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.engine.calls.introspection import user_place
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.user_code.user_code import UserCode
from flask_braintrust_evals.engine.tracing import attributes
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from flask_braintrust_evals.engine.tracing.eval_tracer import set_failure
from flask_braintrust_evals.engine.tracing.memory_tracing import CaseCollector
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.engine.values.scores import to_classifications, to_scores
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.span_context import span_context

from .score_names import name_scores
from .scorer_run import ScorerRun

QUICK_SECONDS = 0.001
"""A scorer whose last call took less is called on the worker's own thread, which costs less than
starting another one."""
MAX_THREADS = 20
"""Threads of the operating system for the scorers of a case. A request may name a hundred."""


class CaseScorer:
    """One pass of scoring: some scorers and classifiers, called on the result of a task.

    They are called at the same time, each in a thread or on the event loop; those that were quick
    so far are called one after another. Where there are more than :data:`MAX_THREADS`, the others
    wait for one of these threads. The order in which they end changes nothing: results, names,
    spans and failures are in the order in which scorers and classifiers are declared.

    A case may have several passes, such as that of the evaluator and that of the Playground's
    scorers. A pass needs the result and the span of the case, so that it may run in another process
    than the pass before.

    Args:
        scorers: the scorers of this pass, with names that no other scorer of the run has.
        classifiers: the classifiers of this pass.
        reserved_names: the names of the scorers of all passes.
        code: calls them.
        collector: see :class:`CaseRunner`.
        scope: where there are several, it is entered around each; see :class:`CaseRunner`.
    """

    def __init__(
        self,
        scorers: Sequence[ScorerCall],
        classifiers: Sequence[ScorerCall],
        reserved_names: Sequence[str],
        code: UserCode,
        collector: CaseCollector | None,
        scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._calls = [
            *((scorer, "score") for scorer in scorers),
            *((classifier, "classifier") for classifier in classifiers),
        ]
        self._contexts = [span_context(user_place(call.function)) for call, _ in self._calls]
        self._seconds = [float("inf")] * len(self._calls)
        self._reserved_names = reserved_names
        self._code = code
        self._collector = collector
        # A single one runs alone, in the scope of its case.
        self._scope = scope if len(self._calls) > 1 and scope is not nullcontext else None
        self._wants_trace = any(scorer.takes("trace") for scorer, _ in self._calls)

    @property
    def has_calls(self) -> bool:
        """Whether there are scorers or classifiers."""
        return bool(self._calls)

    def score(
        self,
        result: CaseResult,
        span: Span,
        parameters: Parameters,
        note_error: Callable[[BaseException], None],
    ) -> list[str]:
        """Call the scorers and classifiers, unless the task failed.

        Args:
            result: what the task gave; scores, labels and failures are added to it.
            span: the case's ``eval`` span.
            parameters: those of the case.
            note_error: called with the exception of a scorer that has no scope of its own.

        Returns:
            the names of the scorers that gave no score because they, or the task, failed.
        """
        if result.error is not None:
            return [scorer.name for scorer, kind in self._calls if kind == "score"]
        runs = self._call_all(result, span, parameters)
        failed = []
        for run in runs:
            error = self._add(run, result)
            if error is None:
                continue
            if run.kind == "score":
                failed.append(run.scorer.name)
            if not run.has_scope:
                note_error(error)
            del error  # see _add()
        return failed

    def _call_all(self, result: CaseResult, span: Span, parameters: Parameters) -> list[ScorerRun]:
        """Call all scorers and classifiers, and wait until the last one has ended."""
        arguments = self._arguments(result, span, parameters)
        described = attributes.of_scorers(result, self._code.tracer)
        code, scope = self._code, self._scope
        runs, slow = [], []
        for (scorer, kind), context, took in zip(
            self._calls, self._contexts, self._seconds, strict=True
        ):
            run = ScorerRun(scorer, kind, arguments, described, context, span, code, scope)
            runs.append(run)
            if took > QUICK_SECONDS:
                slow.append(run)
        on_this_thread = runs
        queued: deque[Callable[[], None]] = deque()
        if slow:
            # The last slow one need not have a thread, since this one only waits.
            queued = _start_threads(slow[:-1])
            quick = [run for run in runs if run not in slow]
            on_this_thread = [*quick, slow[-1]]
        for run in on_this_thread:
            run.start(in_thread=False)
        _call_queued(queued)
        for index, run in enumerate(runs):
            run.wait()
            self._seconds[index] = run.seconds
        wait_for_turn(Turn.CONTINUE)
        return runs

    def _add(self, run: ScorerRun, result: CaseResult) -> BaseException | None:
        """Add what a scorer or classifier gave to the result; return why it gave nothing."""
        failure: BaseException | None = None
        try:
            add = self._add_scores if run.kind == "score" else self._add_labels
            run.in_context(add, run, result)
        except BaseException as error:
            set_failure(run.span, error)
            self._add_failure(run, error, result)
            failure = error
        try:
            run.end(failure)
        except Exception as error:  # of the scope, such as of a function that the teardown calls
            self._add_failure(run, error, result)
        try:
            return failure
        finally:
            del failure  # it refers to this frame, and so would keep the whole case

    def _add_failure(self, run: ScorerRun, error: BaseException, result: CaseResult) -> None:
        what = f"{'scorer' if run.kind == 'score' else run.kind} {run.scorer.name!r}"
        failure = self._code.failure(what, error, result.ref)
        result.add_scorer_error(run.scorer.name, failure, run.kind == "classifier")

    def _add_scores(self, run: ScorerRun, result: CaseResult) -> None:
        scores = to_scores(run.result(), run.scorer.name)
        named = name_scores(
            scores, run.scorer, itertools.chain(self._reserved_names, result.scores)
        )
        result.scores.update(named)
        if self._code.tracer.records_contents:
            attributes.record_scores(run.span, list(named.values()))

    def _add_labels(self, run: ScorerRun, result: CaseResult) -> None:
        # Labels of one name are all kept in one list, so that a number tells nothing apart.
        name = run.scorer.own_name or run.scorer.name
        classifications = to_classifications(run.result(), name)
        for each in classifications:
            items = result.classifications.setdefault(each.name or name, [])
            items.append(each.as_item())
        if self._code.tracer.records_contents:
            attributes.record_classifications(run.span, classifications)

    def _arguments(
        self, result: CaseResult, parent: Span, parameters: Parameters
    ) -> dict[str, Any]:
        return {
            "input": result.case.input,
            "output": result.output,
            "expected": result.case.expected,
            "metadata": result.metadata,
            "tags": result.tags,
            "id": result.case.id,
            "trace": self._trace(parent, result) if self._wants_trace else None,
            "parameters": parameters,
        }

    def _trace(self, parent: Span, result: CaseResult) -> CaseTrace:
        context, collector = parent.get_span_context(), self._collector

        def finished() -> Sequence[ReadableSpan]:
            return () if collector is None else collector.of_case(context.trace_id)

        def metrics() -> dict[str, float]:
            if collector is None:
                return dict(result.metrics)
            return {**result.metrics, **collector.usage_of_case(context, ended=False).task}

        recorded_in = self._code.tracer.attributes.get(semconv.PARENT)
        return CaseTrace(finished, recorded_in, format_trace_id(context.trace_id), metrics)


def _start_threads(runs: Sequence[ScorerRun]) -> deque[Callable[[], None]]:
    """Start a thread for each of these; return the calls of those for which there is none."""
    threads = len(runs) if is_patched() else MAX_THREADS
    queued = deque(run.prepare() for run in runs[threads:])
    for run in runs[:threads]:
        run.start(in_thread=True, then=functools.partial(_call_queued, queued))
    return queued


def _call_queued(calls: deque[Callable[[], None]]) -> None:
    """Make the calls that no other thread has begun."""
    while calls:
        try:
            call = calls.popleft()
        except IndexError:
            return
        call()

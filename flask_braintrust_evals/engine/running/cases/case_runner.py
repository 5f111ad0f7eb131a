"""Runs the cases of a run, each as a :class:`.CaseRun`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.calls.introspection import user_place
from flask_braintrust_evals.engine.calls.plan import CasePlan
from flask_braintrust_evals.engine.calls.signatures import ScorerCall, unique_names
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.scoring.case_scorer import CaseScorer
from flask_braintrust_evals.engine.running.user_code.user_code import UserCode
from flask_braintrust_evals.engine.tracing import span_classes
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.tracing.memory_tracing import CaseCollector, memory_for
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.tracing.span_context import span_context
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .case_run import CaseRun
from .executor import CaseJob, Emit


class CaseRunner:
    """Runs the cases of one run, with what they have in common.

    Args:
        plan: the evaluator's.
        parameters: the run's validated parameters.
        extra_scorers: scorers besides the evaluator's own.
        reserved_names: the names of scorers that the case has besides all of these, which are
            called elsewhere.
        tracer: starts spans; ``None``: nothing is recorded.
        collector: has the spans of the tracer, for scorers that take ``trace``, and what they tell
            of tokens and cost; ``None``: nothing has. Where the tracer records nothing, they are
            kept in memory if there is such a scorer.
        keeper: has the spans of the tracer, for the client of the run; ``None``: it has not asked.
        usage: whether the consumer of the run wants tokens and cost also where the tracer records
            nothing.
        keeps_outputs: whether the result of a case in :class:`CaseFinished` has the output, which
            :class:`TaskFinished` has too, as JSON.
        span_class: see :class:`UserCode`.
        org_url: see :class:`UserCode`.
        cancellation: set when the run is cancelled.
        scope: entered around each case, on the thread that runs it, such as Flask's application
            context. Where a case has several scorers and classifiers, it is also entered around
            each of them, because they run at the same time.
    """

    def __init__(
        self,
        plan: CasePlan,
        parameters: Parameters,
        *,
        extra_scorers: Sequence[ScorerCall] = (),
        reserved_names: Sequence[str] = (),
        tracer: EvalTracer | None = None,
        collector: CaseCollector | None = None,
        keeper: SpanKeeper | None = None,
        usage: bool = False,
        keeps_outputs: bool = True,
        span_class: type[EvalSpan] | None = None,
        org_url: str | None = None,
        cancellation: Cancellation | None = None,
        scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.plan = plan
        self.parameters = parameters
        self.cancellation = cancellation or Cancellation()
        self.scope = scope
        joins_sdk = tracer is not None
        if tracer is None or not tracer.records:
            every_scorer = (*plan.scorers, *plan.classifiers, *extra_scorers)
            memory = memory_for(tracer, plan.task, every_scorer, usage)
            if memory is not None:
                tracer, collector = memory.tracer, memory.collector
                joins_sdk = memory.joins_sdk
            if memory is not None and joins_sdk:
                span_class = span_class or span_classes.find_span_class()
        self.collector = collector
        self.keeper = keeper
        self.keeps_outputs = keeps_outputs
        self.context = span_context(user_place(plan.task.function))
        self.code = UserCode(plan, tracer, self.cancellation, span_class, org_url, joins_sdk)
        scorers = unique_names((*plan.scorers, *extra_scorers))
        names = [*(scorer.name for scorer in scorers), *reserved_names]
        self.scorer = CaseScorer(scorers, plan.classifiers, names, self.code, collector, scope)

    def run(self, job: CaseJob, emit: Emit) -> CaseResult:
        """Do as :meth:`.CaseExecutor.run`, and return the result, which the last event has too."""
        return CaseRun(self, job, emit).run()

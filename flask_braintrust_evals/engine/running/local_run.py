"""Runs cases to their end in this process, and collects their results."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from typing import Any

from flask_braintrust_evals.engine.calls.plan import CasePlan
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.values.events import CaseFinished, RunFailed
from flask_braintrust_evals.engine.values.results import CaseResult, EvalResult

from .cases.case_runner import CaseRunner
from .local_executor import LocalExecutor
from .run import Run
from .sources.case_source import CasesToMake, cases_of
from .sources.own_cases import own_cases
from .sources.scoped_cases import Scope, read_inside


def run_locally(
    plan: CasePlan,
    parameters: Parameters,
    data: Any,
    *,
    max_concurrency: int,
    trial_count: int,
    timeout: float | None,
    scope: Scope,
) -> EvalResult:
    """Run the cases of ``data``, without Flask and without Braintrust.

    :meth:`Evaluator.run` says what the arguments are, and what is raised.
    """
    run = Run(
        LocalExecutor(CaseRunner(plan, parameters, usage=True, scope=scope)),
        _read_in_this_context(own_cases(data, plan.name), scope),
        max_concurrency=max_concurrency,
        trial_count=trial_count,
        timeout=timeout,
        name=plan.name,
        outlive_run=True,
    )
    results: list[CaseResult] = []
    interrupted: list[CaseResult] = []
    with closing(run.batches()) as batches:
        for event in itertools.chain.from_iterable(batches):
            if isinstance(event, CaseFinished):
                (interrupted if event.result.interrupted else results).append(event.result)
            elif isinstance(event, RunFailed):
                raise event.error
    for each in (results, interrupted):
        each.sort(key=lambda result: (result.ref.index, result.ref.trial_index))
    return EvalResult(plan.name, results, run.summary, interrupted, plan.notes(run.summary))


def _read_in_this_context(cases: Iterable[Any] | CasesToMake, scope: Scope) -> Any:
    """Return the cases; what a worker makes or reads, in the context of the calling code."""
    if isinstance(cases, list | tuple):
        return cases
    context = contextvars.copy_context()

    return CasesToMake(
        lambda cancellation: read_inside(partial(cases_of, cases, cancellation), scope, context)
    )

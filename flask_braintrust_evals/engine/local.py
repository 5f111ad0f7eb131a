"""Runs an evaluator in this process and collects its results."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.event_loop import background_loop
from flask_braintrust_evals.errors import DataError

from .case_runner import CaseRunner
from .evaluator import Evaluator, check_numbers
from .run import Run
from .values.events import CaseFinished, RunFailed
from .values.results import CaseResult, EvalResult

DEFAULT_CONCURRENCY = 10
"""Cases at a time where nobody says; Braintrust's own default."""


def run_locally(
    evaluator: Evaluator,
    cases: Iterable[Any] | None,
    parameters: Mapping[str, Any] | None,
    *,
    max_concurrency: int | None = None,
    trial_count: int | None = None,
    timeout: float | None = None,
    scope: Callable[[], AbstractContextManager[Any]] | None = None,
) -> EvalResult:
    """Run ``evaluator`` to its end; see :meth:`Evaluator.run`."""
    check_numbers(trial_count, max_concurrency, timeout)
    run = Run(
        CaseRunner(
            evaluator, evaluator.parameter_set.validate(parameters), scope=scope or nullcontext
        ),
        own_cases(evaluator) if cases is None else cases,
        max_concurrency=max_concurrency or evaluator.max_concurrency or DEFAULT_CONCURRENCY,
        trial_count=trial_count or evaluator.trial_count,
        timeout=timeout or evaluator.timeout,
    )
    results: list[CaseResult] = []
    for event in run:
        if isinstance(event, CaseFinished):
            results.append(event.result)
        elif isinstance(event, RunFailed):
            raise event.error
    results.sort(key=lambda result: (result.ref.index, result.ref.trial_index))
    return EvalResult(evaluator.name, results, run.summary)


def own_cases(evaluator: Evaluator) -> Iterable[Any]:
    """Return the cases that an evaluator brings itself.

    Raises:
        DataError: it brings none, or making them fails.
    """
    data = evaluator.data
    if callable(data):
        try:
            data = data()
        except Exception as error:
            raise DataError(
                f"evaluator {evaluator.name!r}: data could not be read:"
                f" {type(error).__name__}: {error}"
            ) from error
    if data is None:
        raise DataError(
            f"evaluator {evaluator.name!r} has no data of its own; pass cases, or give it data="
        )
    if inspect.isawaitable(data):
        data = background_loop().run(data, Cancellation())
    if isinstance(data, AsyncIterable):
        return _one_by_one(data)
    if not isinstance(data, Iterable):
        raise DataError(
            f"evaluator {evaluator.name!r}: data must be an iterable of cases, not {data!r}"
        )
    return data


def _one_by_one(cases: AsyncIterable[Any]) -> Iterator[Any]:
    iterator = aiter(cases)
    while True:
        try:
            yield background_loop().run(anext(iterator), Cancellation())
        except StopAsyncIteration:
            return

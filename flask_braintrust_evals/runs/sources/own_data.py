"""Makes an evaluator's own cases: before the stream begins, or on the run's first worker.

A function that makes data may do anything. Usually the run's first worker calls it: the stream has
begun, comments are sent while it waits, and the run's time-out holds. But a new experiment is
linked to the dataset that its cases are from, and is created before the stream begins; and a
command says first how many cases there are. Then the function is called before, for as long as the
run's time-out allows and the client is there.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.engine.running.sources.case_source import CasesToMake, cases_of
from flask_braintrust_evals.engine.running.sources.scoped_cases import Scope, read_inside
from flask_braintrust_evals.errors import RunError, RunTimeoutError

from .case_data import CaseData, close_cases

logger = logging.getLogger("flask_braintrust_evals")

CHECK_INTERVAL = 0.25
"""Seconds between the checks whether somebody still waits."""

Make = Callable[[Cancellation], CaseData]
EndReason = Callable[[], RunError | None]


def made_by_the_run(make: Make, scope: Scope) -> CaseData:
    """Return data that the run's first worker makes.

    Args:
        make: makes it; its argument is set when the run ends early.
        scope: entered around the making and the reading, such as the application's context.
    """

    def cases(cancellation: Cancellation) -> Iterable[Any]:
        return read_inside(lambda: cases_of(make(cancellation).cases, cancellation), scope)

    return CaseData(CasesToMake(cases))


def read_by_the_run(data: CaseData, scope: Scope) -> CaseData:
    """Return data whose cases the run reads inside a scope if user code may make them then."""
    if isinstance(data.cases, list | tuple | CasesToMake):
        return data
    cases = data.cases
    return replace(data, cases=CasesToMake(lambda cancellation: read_inside(lambda: cases, scope)))


def made_before_the_run(
    make: Make, scope: Scope, evaluator: str, timeout: float | None, end_reason: EndReason
) -> CaseData:
    """Make data now, in a thread, and return it.

    Args:
        make: makes it; its argument is set when the run ends early, or when nobody waits any more.
        scope: entered around the making and the reading, such as the application's context.
        evaluator: the evaluator's name.
        timeout: seconds that the run may take; ``None``: no limit.
        end_reason: returns why nobody waits any more.

    Raises:
        RunTimeoutError: it was not made in time.
        RunError: what ``end_reason`` returns.
        EvalsError: what ``make`` raises.
    """
    cancellation = Cancellation()
    job: Job[CaseData] = Job()

    def work() -> CaseData:
        made: list[CaseData] = []

        def cases() -> Iterable[Any]:
            made.append(make(cancellation))
            return cases_of(made[0].cases, cancellation)

        found = read_inside(cases, scope)
        # Called at once if nobody waits any more.
        cancellation.add(job, partial(close_cases, found))
        return replace(made[0], cases=found)

    start_thread(partial(job.run, work), "eval-data")
    deadline = time.monotonic() + (math.inf if timeout is None else timeout)
    try:
        data = _wait(job, deadline, end_reason)
    except BaseException as error:  # also Ctrl-C, and time-outs of gevent
        cancellation.set()
        if isinstance(error, RunError) and not job.ended_ns:
            logger.warning(
                "evaluator %r: the making of its data goes on, and nobody waits for it: %s",
                evaluator,
                error,
            )
        raise
    cancellation.remove(job)
    cases = data.cases
    if isinstance(cases, list | tuple | CasesToMake):
        return data

    def linked(cancellation_of_run: Cancellation) -> Iterable[Any]:
        cancellation_of_run.add(cancellation, cancellation.set)
        return cases

    return replace(data, cases=CasesToMake(linked, partial(close_cases, cases)))


def _wait(job: Job[CaseData], deadline: float, end_reason: EndReason) -> CaseData:
    while True:
        try:
            return job.wait(min(deadline, time.monotonic() + CHECK_INTERVAL))
        except DeadlineError:
            if time.monotonic() >= deadline:
                raise RunTimeoutError(
                    "the run's time-out was reached before its data was made"
                ) from None
            reason = end_reason()
            if reason is not None:
                raise reason from None

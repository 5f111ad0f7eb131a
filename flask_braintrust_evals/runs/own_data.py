"""The own cases of an evaluator, whose making may take long: in time, or by the run's first worker.

A function that makes data may do anything. In the usual case the run's first worker calls it: the
stream has begun, comments are sent while it waits, and the run's time-out holds. But a new
experiment is linked to the dataset that its cases are from, and it is created before the stream
begins. Then the function is called before, for as long as the run's time-out allows and the client
is there.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.engine.running.case_source import CasesToMake
from flask_braintrust_evals.errors import RunError, RunTimeoutError

from .case_data import CaseData

logger = logging.getLogger("flask_braintrust_evals")

CLIENT_CHECK_INTERVAL = 0.25
"""Seconds between the checks whether the client has disconnected."""

Make = Callable[[Cancellation], CaseData]
Scope = Callable[[], AbstractContextManager[Any]]


def made_by_the_run(make: Make, scope: Scope) -> CaseData:
    """Return data that the run's first worker makes.

    Args:
        make: makes it; its argument is set when the run ends early.
        scope: entered around the making, such as the application's context.
    """

    def cases(cancellation: Cancellation) -> Iterable[Any]:
        with scope():
            made = make(cancellation).cases
        return made.make(cancellation) if isinstance(made, CasesToMake) else made

    return CaseData(CasesToMake(cases))


def made_before_the_run(
    make: Make, scope: Scope, evaluator: str, timeout: float | None, has_left: Callable[[], bool]
) -> CaseData:
    """Make data now, in a thread, and return it.

    Args:
        make: makes it; its argument is set when the run ends early, or when nobody waits any more.
        scope: entered around the making, such as the application's context.
        evaluator: the evaluator's name.
        timeout: seconds that the run may take; ``None``: no limit.
        has_left: returns whether the client has disconnected.

    Raises:
        RunTimeoutError: it was not made in time.
        RunError: the client has disconnected.
        EvalsError: what ``make`` raises.
    """
    cancellation = Cancellation()

    def work() -> CaseData:
        with scope():
            return make(cancellation)

    job: Job[CaseData] = Job()
    start_thread(functools.partial(job.run, work), "eval-data")
    deadline = time.monotonic() + (math.inf if timeout is None else timeout)
    try:
        data = _wait(job, deadline, has_left)
    except RunError as error:
        cancellation.set()
        if not job.ended_ns:
            logger.warning(
                "evaluator %r: the making of its data goes on, and nobody waits for it: %s",
                evaluator,
                error,
            )
        raise
    cases = data.cases
    if isinstance(cases, list | tuple | CasesToMake):
        return data

    def linked(cancellation_of_run: Cancellation) -> Iterable[Any]:
        cancellation_of_run.sets_too(cancellation)
        return cases

    return replace(data, cases=CasesToMake(linked))


def _wait(job: Job[CaseData], deadline: float, has_left: Callable[[], bool]) -> CaseData:
    while True:
        try:
            return job.wait(min(deadline, time.monotonic() + CLIENT_CHECK_INTERVAL))
        except DeadlineError:
            if time.monotonic() >= deadline:
                raise RunTimeoutError(
                    "the run's time-out was reached before its data was made"
                ) from None
            if has_left():
                raise RunError("the client disconnected before the data was made") from None

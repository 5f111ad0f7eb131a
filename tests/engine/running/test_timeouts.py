"""A run at its time-out, and what it reports while nothing happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    Event,
    Idle,
    RunFailed,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError
from flask_braintrust_evals.errors import RunTimeoutError
from tests.engine.support import (
    Closing,
    by_case,
    disconnect,
    echo,
    inputs,
    kinds,
    new_run,
    results_of,
)
from tests.support import Counter, cut_short, happens, in_time

# Time-outs


@pytest.mark.slow
def test_at_its_time_out_a_run_gives_up_the_cases_that_are_not_done() -> None:
    let_go, closing = threading.Event(), Closing()

    def task(input: str) -> str:
        if input == "task hangs":
            happens(let_go)
        return input

    def scorer(input: str) -> float:
        if input == "scorer hangs":
            happens(let_go)
        return 1

    run = new_run(
        Evaluator("e", task, scores=[scorer]),
        inputs("done", "task hangs", "scorer hangs"),
        max_concurrency=3,
        timeout=1,
        when_closed=closing,
    )
    events = in_time(lambda: list(run))

    done, in_task, in_scorer = by_case(events).values()
    message = "the run's time-out of 1 seconds was reached"
    error = CaseError("TimeoutError", message)
    assert (
        kinds(done)
        == kinds(in_task)
        == kinds(in_scorer)
        == [
            "CaseStarted",
            "TaskFinished",
            "CaseFinished",
        ]
    )
    assert [result.error for result in results_of(events)] == [None, error, error]
    assert in_task[1] == TaskFinished(run_ref(in_task), None, error)
    assert in_scorer[1] == TaskFinished(run_ref(in_scorer), b'"scorer hangs"', None)
    last = events[-1]
    assert isinstance(last, RunFailed)
    assert isinstance(last.error, RunTimeoutError)
    assert str(last.error) == f"{message}; done by then: 1 case"
    summary = last.summary
    assert (summary.cases, summary.failed, summary.interrupted) == (1, 0, 2)
    assert last.summary.scores["scorer"].count == 1
    # The worker of the task that hangs still has its case.
    assert not closing.happened.is_set()
    let_go.set()
    happens(closing.happened)
    assert closing.log == ["closed"]


def run_ref(events: list[Event]) -> Any:
    assert isinstance(events[0], CaseStarted)
    return events[0].ref


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_a_time_out_cancels_what_runs(is_async: bool) -> None:
    cancelled = Counter()

    def task(input: Any, hooks: Any) -> None:
        happens(hooks.cancel_event)
        cancelled.add()

    async def async_task(input: Any) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.add()

    evaluator = Evaluator("e", async_task if is_async else task)

    def last_event(seconds: float) -> str:
        closing = Closing()
        run = new_run(evaluator, inputs(1), timeout=seconds, when_closed=closing)
        events = in_time(lambda: list(run))
        happens(closing.happened)
        return kinds(events)[-1]

    assert cut_short(last_event, lambda _: cancelled.value == 1) == "RunFailed"
    assert cancelled.value == 1


def test_no_case_starts_after_a_time_out() -> None:
    ran = Counter()

    def task(input: Any, hooks: Any) -> None:
        ran.add()
        happens(hooks.cancel_event)

    def all_events(seconds: float) -> list[Event]:
        closing = Closing()
        options: Any = {"max_concurrency": 1, "timeout": seconds, "when_closed": closing}
        run = new_run(Evaluator("e", task), inputs(1, 2, 3), **options)
        events = in_time(lambda: list(run))
        happens(closing.happened)
        return events

    events = cut_short(all_events, lambda _: ran.value == 1)
    assert ran.value == 1
    assert kinds(events) == ["CaseStarted", "TaskFinished", "CaseFinished", "RunFailed"]


def test_a_time_out_ends_a_run_whose_source_hangs() -> None:
    let_go, closing = threading.Event(), Closing()

    def cases() -> Iterator[Any]:
        happens(let_go)
        yield {"input": 1}

    run = new_run(Evaluator("e", echo), cases(), timeout=0.2, when_closed=closing)
    events = in_time(lambda: list(run))

    assert kinds(events) == ["RunFailed"]
    let_go.set()
    happens(closing.happened)


def test_a_time_out_that_is_nearly_used_up_ends_a_run_soon() -> None:
    let_go = threading.Event()
    run = new_run(
        Evaluator("e", lambda input: happens(let_go)), inputs(1), timeout=1000, spent=999.95
    )
    events = in_time(lambda: list(run))
    let_go.set()
    assert kinds(events)[-1] == "RunFailed"
    assert str(run.error) == "the run's time-out of 1000 seconds was reached"


def test_a_run_that_is_done_in_time_does_not_time_out() -> None:
    run = new_run(Evaluator("e", echo), inputs(1, 2), timeout=60)

    assert kinds(in_time(lambda: list(run)))[-1] == "RunFinished"


def test_a_consumer_may_stop_while_a_time_out_is_reported() -> None:
    let_go = threading.Event()
    evaluator = Evaluator("e", lambda input: happens(let_go))

    def first_report(seconds: float) -> tuple[Event, Iterator[Event], Closing]:
        closing = Closing()
        run = new_run(evaluator, inputs(1, 2), timeout=seconds, when_closed=closing)
        events = in_time(lambda: iter(run))
        while not isinstance(event := in_time(lambda: next(events)), CaseFinished | RunFailed):
            pass
        return event, events, closing

    event, events, closing = cut_short(first_report, lambda it: isinstance(it[0], CaseFinished))
    assert isinstance(event, CaseFinished)
    disconnect(events)
    let_go.set()

    happens(closing.happened)
    assert closing.log == ["closed"]


# Silence


def test_idle_events_come_as_often_as_configured() -> None:
    let_go = threading.Event()
    run = new_run(Evaluator("e", lambda input: happens(let_go)), inputs(1), idle_after=0.02)

    def consume() -> list[str]:
        received = []
        for event in run:
            received.append(event)
            if kinds(received).count("Idle") == 3:
                let_go.set()
        return kinds(received)

    received = in_time(consume)
    assert received[0] == "CaseStarted"
    assert received.count("Idle") >= 3
    assert [kind for kind in received if kind != "Idle"] == [
        "CaseStarted",
        "TaskFinished",
        "CaseFinished",
        "RunFinished",
    ]


def test_idle_events_come_before_the_first_case_too() -> None:
    let_go = threading.Event()

    def cases() -> Iterator[Any]:
        happens(let_go)
        yield {"input": 1}

    events = iter(new_run(Evaluator("e", echo), cases(), idle_after=0.02))

    assert in_time(lambda: next(events)) == Idle()
    let_go.set()
    in_time(lambda: list(events))


def test_idle_events_and_a_time_out_may_be_combined() -> None:
    let_go = threading.Event()
    run = new_run(
        Evaluator("e", lambda input: happens(let_go)), inputs(1), idle_after=0.05, timeout=0.5
    )

    received = kinds(in_time(lambda: list(run)))

    assert "Idle" in received
    assert received[-3:] == ["TaskFinished", "CaseFinished", "RunFailed"]
    let_go.set()


def test_no_idle_event_comes_if_the_time_out_is_shorter() -> None:
    let_go = threading.Event()
    run = new_run(
        Evaluator("e", lambda input: happens(let_go)), inputs(1), idle_after=60, timeout=0.1
    )

    assert "Idle" not in kinds(in_time(lambda: list(run)))
    let_go.set()


def test_no_idle_event_comes_unless_configured() -> None:
    let_go = threading.Event()
    run = new_run(Evaluator("e", lambda input: let_go.wait(0.1)), inputs(1))

    assert "Idle" not in kinds(in_time(lambda: list(run)))

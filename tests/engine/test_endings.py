"""How a run ends before its cases do: closed by its listener, or by its time-out."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.event_loop import background_loop
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.run import MAX_WAITING_EVENTS, Run
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
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
from tests.support import PATIENCE, Counter, happens, in_time

from .support import Spans, by_case, echo, inputs, kinds, new_run, results_of


class Closing:
    """What a run calls when it has ended, and what had happened by then."""

    def __init__(self) -> None:
        self.happened = threading.Event()
        self.log: list[str] = []

    def __call__(self) -> None:
        self.log.append("closed")
        self.happened.set()


def listening(run: Run, until: Callable[[Event], bool]) -> Iterator[Event]:
    """Listen until something is heard; return the iterator, to be closed or read on."""
    events = iter(run)
    while not until(in_time(lambda: next(events))):
        pass
    return events


def leave(events: Iterator[Event]) -> None:
    """What a server does with a stream whose client has gone."""
    events.close()  # type: ignore[attr-defined]


def started(event: Event) -> bool:
    return isinstance(event, CaseStarted)


# Closing


@pytest.mark.parametrize("how", ["the run is closed", "its iterator is closed"])
def test_closing_cancels_what_runs_and_is_over_when_the_last_worker_has_left(how: str) -> None:
    closing, running = Closing(), threading.Barrier(4)

    def task(input: Any, hooks: Any) -> None:
        running.wait(PATIENCE)
        happens(hooks.cancel_event)
        closing.log.append("task")

    run = new_run(Evaluator("e", task), inputs(*range(10)), max_concurrency=3, when_closed=closing)
    events = iter(run)
    for _ in range(3):
        assert started(in_time(lambda: next(events)))
    running.wait(PATIENCE)
    if how == "the run is closed":
        run.close()
        run.close()
    leave(events)
    run.close()

    happens(closing.happened)
    assert closing.log == ["task", "task", "task", "closed"]


def test_closing_does_not_wait_for_a_task_that_does_not_look() -> None:
    closing, let_go = Closing(), threading.Event()

    run = new_run(Evaluator("e", lambda input: happens(let_go)), inputs(1), when_closed=closing)
    events = listening(run, started)
    in_time(lambda: leave(events))

    assert not closing.happened.is_set()
    let_go.set()
    happens(closing.happened)


def test_closing_cancels_async_tasks() -> None:
    closing, within, cancelled = Closing(), Counter(), Counter()

    async def task(input: Any) -> None:
        within.add()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.add()
            raise

    run = new_run(Evaluator("e", task), inputs(1, 2), when_closed=closing)
    events = iter(run)
    for _ in range(2):
        assert started(in_time(lambda: next(events)))
    assert within.reaches(2)
    leave(events)

    happens(closing.happened)
    assert cancelled.value == 2


def test_closing_cancels_async_scorers() -> None:
    closing, within, log = Closing(), threading.Event(), []

    async def scorer(output: Any) -> None:
        within.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    run = new_run(Evaluator("e", echo, scores=[scorer]), inputs(1), when_closed=closing)
    events = listening(run, started)
    happens(within)
    leave(events)

    happens(closing.happened)
    assert log == ["cancelled"]


def test_an_async_task_that_holds_on_is_waited_for_elsewhere() -> None:
    closing, within, let_go = Closing(), threading.Event(), threading.Event()

    async def task(input: Any) -> None:
        within.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.to_thread(let_go.wait, PATIENCE)

    run = new_run(Evaluator("e", task), inputs(1), when_closed=closing)
    events = listening(run, started)
    happens(within)
    in_time(lambda: leave(events))

    assert not closing.happened.is_set()
    let_go.set()
    happens(closing.happened)


def test_an_async_task_that_reports_when_the_run_is_closed_may_clean_up() -> None:
    closing, within, let_go = Closing(), threading.Event(), threading.Event()

    async def task(input: Any, hooks: Any) -> None:
        within.set()
        try:
            await asyncio.sleep(600)
        except BaseException as error:
            on_loop = background_loop().is_current()
            closing.log.append(f"{type(error).__name__} on the loop: {on_loop}")
            hooks.report_progress({"data": "stopping"})
            await asyncio.to_thread(let_go.wait, PATIENCE)
            closing.log.append("cleaned up")
            raise

    run = new_run(Evaluator("e", task), inputs(1), when_closed=closing)
    events = listening(run, started)
    happens(within)
    leave(events)

    # The worker has heard of the report by then, and must not have left for it.
    assert not closing.happened.wait(0.1)
    let_go.set()
    happens(closing.happened)
    assert closing.log == ["CancelledError on the loop: True", "cleaned up", "closed"]


def test_a_coroutine_that_comes_after_the_end_is_not_forgotten() -> None:
    closing = Closing()

    async def coroutine() -> None: ...

    def task(input: Any, hooks: Any) -> Any:
        happens(hooks.cancel_event)
        return coroutine()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = new_run(Evaluator("e", task), inputs(1), when_closed=closing)
        leave(listening(run, started))
        happens(closing.happened)
        del run
        gc.collect()

    assert [str(warning.message) for warning in caught] == []


def test_closing_frees_workers_that_wait_to_be_heard() -> None:
    closing, source = Closing(), Counter()

    def cases() -> Iterator[Any]:
        for number in range(1000):
            source.add()
            yield {"input": number}

    run = new_run(Evaluator("e", echo), cases(), max_concurrency=1, when_closed=closing)
    events = listening(run, started)
    assert source.reaches(2 + (MAX_WAITING_EVENTS - 2) // 3)
    leave(events)

    happens(closing.happened)
    assert source.value < 100
    assert closing.log == ["closed"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_task_that_reports_to_nobody_is_not_hurt(is_async: bool) -> None:
    closing, within, unhurt = Closing(), threading.Event(), threading.Event()

    def report(hooks: Any) -> None:
        for number in range(100):
            hooks.report_progress({"data": str(number)})
        unhurt.set()

    def task(input: Any, hooks: Any) -> None:
        within.set()
        happens(hooks.cancel_event)
        report(hooks)

    async def async_task(input: Any, hooks: Any) -> None:
        within.set()
        try:
            await asyncio.sleep(600)
        finally:
            report(hooks)

    evaluator = Evaluator("e", async_task if is_async else task)
    run = new_run(evaluator, inputs(1), when_closed=closing)
    events = listening(run, started)
    happens(within)
    leave(events)

    happens(closing.happened)
    assert unhurt.is_set()


def test_closing_closes_a_generator_of_cases() -> None:
    closing, generator_closed = Closing(), threading.Event()

    def cases() -> Iterator[Any]:
        try:
            for number in range(1000):
                yield {"input": number}
        finally:
            generator_closed.set()

    run = new_run(Evaluator("e", echo), cases(), max_concurrency=2, when_closed=closing)
    leave(listening(run, started))

    happens(closing.happened)
    assert generator_closed.is_set()


def test_closing_a_run_that_never_started_closes_its_source() -> None:
    closing, source = Closing(), iter(inputs(1))

    class Source:
        closed = False

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            return next(source)

        def close(self) -> None:
            self.closed = True

    cases = Source()
    run = new_run(Evaluator("e", echo), cases, when_closed=closing)
    run.close()
    run.close()

    assert (closing.log, cases.closed) == (["closed"], True)
    assert next(source) == {"input": 1}


def test_all_who_wait_for_the_end_are_called_in_order_also_when_one_of_them_fails() -> None:
    called = []
    run = new_run(Evaluator("e", echo), inputs(1))

    def fail() -> None:
        called.append("fails")
        raise OSError("flush")

    run.when_closed(lambda: called.append("first"))
    run.when_closed(fail)
    run.when_closed(lambda: called.append("last"))
    with pytest.raises(OSError, match="flush"):
        run.close()
    run.close()

    assert called == ["first", "fails", "last"]


def test_those_who_wait_for_the_end_are_called_also_when_the_source_cannot_be_closed() -> None:
    class Source:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            raise AssertionError("not asked for")

        def close(self) -> None:
            raise OSError("close")

    closing = Closing()
    run = new_run(Evaluator("e", echo), Source(), when_closed=closing)
    with pytest.raises(OSError, match="close"):
        run.close()

    assert closing.log == ["closed"]


def test_a_run_that_has_ended_is_closed_once() -> None:
    closing = Closing()
    run = new_run(Evaluator("e", echo), inputs(1, 2), when_closed=closing)

    in_time(lambda: list(run))
    run.close()

    assert closing.log == ["closed"]


def test_a_run_whose_source_failed_is_closed_once() -> None:
    closing = Closing()
    run = new_run(Evaluator("e", echo), iter([None]), when_closed=closing)

    in_time(lambda: list(run))

    assert closing.log == ["closed"]


def test_closing_at_any_event_leaves_nothing_behind() -> None:
    # Each event is another state for the workers to be in.
    for stop_after in range(1, 3 * 6 + 1):
        closing = Closing()
        run = new_run(
            Evaluator("e", echo), inputs(*range(6)), max_concurrency=3, when_closed=closing
        )
        events = iter(run)
        for _ in range(stop_after):
            in_time(lambda events=events: next(events))  # type: ignore[misc]
        leave(events)

        happens(closing.happened)
        assert closing.log == ["closed"]


def test_the_spans_of_a_case_that_is_closed_end(spans: Spans) -> None:
    closing = Closing()

    def task(input: Any, hooks: Any) -> None:
        happens(hooks.cancel_event)

    run = new_run(
        Evaluator("e", task),
        inputs(1),
        when_closed=closing,
        runner={"tracer": EvalTracer(spans.tracer)},
    )
    leave(listening(run, started))

    happens(closing.happened)
    assert [span.name for span in spans.all] == ["task", "eval"]


# Time-outs


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
    assert in_scorer[1] == TaskFinished(run_ref(in_scorer), '"scorer hangs"', None)
    last = events[-1]
    assert isinstance(last, RunFailed)
    assert isinstance(last.error, RunTimeoutError)
    assert str(last.error) == f"{message}; 1 cases were done by then"
    assert (last.summary.cases, last.summary.failed) == (3, 2)
    assert last.summary.scores["scorer"].count == 1
    # The worker of the task that hangs still has its case.
    assert not closing.happened.is_set()
    let_go.set()
    happens(closing.happened)
    assert closing.log == ["closed"]


def run_ref(events: list[Event]) -> Any:
    assert isinstance(events[0], CaseStarted)
    return events[0].ref


def test_a_time_out_cancels_what_runs() -> None:
    cancelled = Counter()

    def task(input: Any, hooks: Any) -> None:
        happens(hooks.cancel_event)
        cancelled.add()

    async def async_task(input: Any) -> None:
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.add()

    for each in (task, async_task):
        closing = Closing()
        run = new_run(Evaluator("e", each), inputs(1), timeout=0.2, when_closed=closing)
        assert kinds(in_time(lambda run=run: list(run)))[-1] == "RunFailed"  # type: ignore[misc]
        happens(closing.happened)
    assert cancelled.value == 2


def test_no_case_starts_after_a_time_out() -> None:
    ran = Counter()

    def task(input: Any, hooks: Any) -> None:
        ran.add()
        happens(hooks.cancel_event)

    closing = Closing()
    run = new_run(
        Evaluator("e", task), inputs(1, 2, 3), max_concurrency=1, timeout=0.2, when_closed=closing
    )
    events = in_time(lambda: list(run))

    happens(closing.happened)
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


def test_a_run_that_is_done_in_time_does_not_time_out() -> None:
    run = new_run(Evaluator("e", echo), inputs(1, 2), timeout=60)

    assert kinds(in_time(lambda: list(run)))[-1] == "RunFinished"


def test_a_listener_may_leave_while_a_time_out_is_told() -> None:
    let_go, closing = threading.Event(), Closing()
    run = new_run(
        Evaluator("e", lambda input: happens(let_go)),
        inputs(1, 2),
        timeout=0.2,
        when_closed=closing,
    )
    events = listening(run, lambda event: isinstance(event, CaseFinished))
    leave(events)
    let_go.set()

    happens(closing.happened)
    assert closing.log == ["closed"]


# Silence


def test_silence_is_told_as_often_as_was_asked_for() -> None:
    let_go = threading.Event()
    run = new_run(Evaluator("e", lambda input: happens(let_go)), inputs(1), idle_after=0.02)

    def listen() -> list[str]:
        heard = []
        for event in run:
            heard.append(event)
            if kinds(heard).count("Idle") == 3:
                let_go.set()
        return kinds(heard)

    heard = in_time(listen)
    assert heard[0] == "CaseStarted"
    assert heard.count("Idle") >= 3
    assert [kind for kind in heard if kind != "Idle"] == [
        "CaseStarted",
        "TaskFinished",
        "CaseFinished",
        "RunFinished",
    ]


def test_silence_is_told_before_the_first_case_too() -> None:
    let_go = threading.Event()

    def cases() -> Iterator[Any]:
        happens(let_go)
        yield {"input": 1}

    events = iter(new_run(Evaluator("e", echo), cases(), idle_after=0.02))

    assert in_time(lambda: next(events)) == Idle()
    let_go.set()
    in_time(lambda: list(events))


def test_silence_and_a_time_out_go_together() -> None:
    let_go = threading.Event()
    run = new_run(
        Evaluator("e", lambda input: happens(let_go)), inputs(1), idle_after=0.05, timeout=0.5
    )

    heard = kinds(in_time(lambda: list(run)))

    assert "Idle" in heard
    assert heard[-3:] == ["TaskFinished", "CaseFinished", "RunFailed"]
    let_go.set()


def test_silence_longer_than_the_time_out_is_not_told() -> None:
    let_go = threading.Event()
    run = new_run(
        Evaluator("e", lambda input: happens(let_go)), inputs(1), idle_after=60, timeout=0.1
    )

    assert "Idle" not in kinds(in_time(lambda: list(run)))
    let_go.set()


def test_silence_is_not_told_unless_asked_for() -> None:
    let_go = threading.Event()
    run = new_run(Evaluator("e", lambda input: let_go.wait(0.1)), inputs(1))

    assert "Idle" not in kinds(in_time(lambda: list(run)))

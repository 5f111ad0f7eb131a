"""Runs whose consumer, data or tasks do not end when the run does."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running import run as run_module
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.running.run_state import RunState
from flask_braintrust_evals.engine.running.run_users import left_over
from flask_braintrust_evals.engine.running.sources.own_cases import own_cases
from flask_braintrust_evals.engine.values.events import CaseStarted, Idle
from flask_braintrust_evals.errors import RunTimeoutError
from tests.engine.support import Closing, consumed, disconnect, echo, inputs, kinds, new_run
from tests.support import PATIENCE, Counter, eventually, happens, in_time

SOON = 0.1


@pytest.fixture(autouse=True)
def released_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "RELEASE_AFTER", SOON)


def own_run(evaluator: Evaluator, **options: Any) -> Run:
    """A run of an evaluator's own data."""
    return new_run(evaluator, own_cases(evaluator.data, evaluator.name), name="e", **options)


@pytest.mark.slow
def test_the_time_out_ends_a_run_whose_consumer_does_not_come_back() -> None:
    closing, cancelled = Closing(), threading.Event()

    def task(input: Any, hooks: Any) -> None:
        happens(hooks.cancel_event)
        cancelled.set()

    run = new_run(Evaluator("e", task), inputs(1, 2), timeout=1, when_closed=closing)
    events = consumed(run, lambda event: isinstance(event, CaseStarted))
    # The consumer is away, as a server is that waits for a client which does not read.
    happens(cancelled)
    happens(closing.happened)
    assert run.state is RunState.GIVEN_UP
    # One that comes back after all is told how the run ended.
    rest = in_time(lambda: list(events))
    assert kinds(rest) == ["TaskFinished", "CaseFinished", "RunFailed"]
    assert closing.log == ["closed"]


def hold(let_go: threading.Event) -> dict[str, Callable[[], Any]]:
    """What cannot be ended from outside, each as an evaluator whose run is under way."""

    def blocking_function() -> Any:
        happens(let_go)
        return inputs(1)

    def blocking_generator() -> Iterator[Any]:
        happens(let_go)
        yield {"input": 1}

    async def stubborn_function() -> Any:
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        return inputs(1)

    async def stubborn_task(input: Any) -> None:
        await stubborn_function()

    return {
        "data function": lambda: Evaluator("e", echo, data=blocking_function),
        "data generator": lambda: Evaluator("e", echo, data=blocking_generator),
        "async data that swallows its cancellation": lambda: Evaluator(
            "e", echo, data=stubborn_function
        ),
        "coroutine that swallows its cancellation": lambda: Evaluator(
            "e", stubborn_task, data=inputs(1)
        ),
        "plain task": lambda: Evaluator("e", lambda input: happens(let_go), data=inputs(1)),
        "scorer": lambda: Evaluator(
            "e", echo, scores=[lambda output: happens(let_go)], data=inputs(1)
        ),
    }


@pytest.mark.parametrize("what", hold(threading.Event()))
def test_what_does_not_end_holds_nothing_and_is_logged_and_counted(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    let_go, closing, before = threading.Event(), Closing(), left_over.count
    run = own_run(hold(let_go)[what](), idle_after=0.1, when_closed=closing)
    events = consumed(run, lambda event: isinstance(event, Idle))
    with caplog.at_level(logging.INFO):
        in_time(lambda: disconnect(events))
        happens(closing.happened)
        assert left_over.count == before + 1
        (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert warning.getMessage().startswith(
            f"evaluator 'e': {SOON} s after the end of a run, 1 of its workers are busy"
        )
        let_go.set()
        eventually(lambda: left_over.count == before)
        eventually(lambda: "evaluator 'e': a worker has ended" in caplog.text)
    assert closing.log == ["closed"]


async def hanging() -> Any:
    await asyncio.sleep(600)


async def hanging_generator() -> AsyncIterator[Any]:
    yield {"input": 1}
    await asyncio.sleep(600)


@pytest.mark.parametrize("data", [hanging, hanging_generator], ids=["function", "generator"])
@pytest.mark.parametrize("how", ["closed", "timed out"])
def test_async_data_is_cancelled_with_its_run(data: Any, how: str) -> None:
    closing, before = Closing(), left_over.count
    timeout = 0.1 if how == "timed out" else None
    run = own_run(
        Evaluator("e", echo, data=data), timeout=timeout, idle_after=0.01, when_closed=closing
    )
    events = consumed(run, lambda event: isinstance(event, Idle))
    if how == "closed":
        disconnect(events)
    else:
        assert kinds(in_time(lambda: list(events)))[-1] == "RunFailed"
    happens(closing.happened)
    run.wait_for_workers(PATIENCE)
    assert left_over.count == before


def test_async_data_that_is_shared_by_runs_is_not_cancelled_with_one_of_them() -> None:
    let_go, closing = threading.Event(), Closing()

    async def source() -> AsyncIterator[Any]:
        await asyncio.to_thread(happens, let_go)
        yield {"input": 1}

    evaluator = Evaluator("e", echo, data=source())
    run = own_run(evaluator, idle_after=0.01, when_closed=closing)
    disconnect(consumed(run, lambda event: isinstance(event, Idle)))
    happens(closing.happened)
    let_go.set()
    assert [result.output for result in in_time(evaluator.run).results] == [1]


def test_a_worker_that_is_let_go_runs_no_further_case() -> None:
    let_go, ended, ran, closing = threading.Event(), threading.Event(), Counter(), Closing()

    def cases() -> Iterator[Any]:
        try:
            happens(let_go)
            yield {"input": 1}
        finally:
            ended.set()

    run = new_run(
        Evaluator("e", lambda input: ran.add()), cases(), idle_after=0.01, when_closed=closing
    )
    disconnect(consumed(run, lambda event: isinstance(event, Idle)))
    happens(closing.happened)
    # A generator that is being read cannot be closed: that waits for the worker.
    assert not ended.is_set()
    let_go.set()
    happens(ended)
    assert ran.value == 0


def test_a_failing_callback_of_a_run_that_is_let_go_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go, closing = threading.Event(), Closing()
    run = new_run(Evaluator("e", lambda input: happens(let_go)), inputs(1), name="e")

    def fail() -> None:
        raise OSError("flush")

    run.when_closed(fail)
    run.when_closed(closing)
    disconnect(consumed(run, lambda event: isinstance(event, CaseStarted)))
    happens(closing.happened)
    eventually(lambda: "evaluator 'e': the end of a run failed" in caplog.text)
    let_go.set()


def test_who_gives_a_run_up_may_say_how_soon_everything_is_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_go, closing = threading.Event(), Closing()
    run = new_run(Evaluator("e", lambda input: happens(let_go)), inputs(1), when_closed=closing)
    consumed(run, lambda event: isinstance(event, CaseStarted))
    monkeypatch.setattr(run_module, "RELEASE_AFTER", 600)
    run.give_up(RunTimeoutError("late"), 0.01)
    happens(closing.happened)
    let_go.set()


def test_where_no_timer_can_be_started_nothing_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(seconds: float, callback: Any) -> Any:
        raise RuntimeError("can't start new thread")

    let_go, closing = threading.Event(), Closing()
    run = new_run(Evaluator("e", lambda input: happens(let_go)), inputs(1), when_closed=closing)
    events = consumed(run, lambda event: isinstance(event, CaseStarted))
    monkeypatch.setattr("flask_braintrust_evals.engine.running.run_users.call_later", refuse)
    disconnect(events)
    happens(closing.happened)
    assert "no timer could be started" in caplog.text
    let_go.set()

    monkeypatch.setattr("flask_braintrust_evals.engine.running.run.call_later", refuse)
    run = new_run(Evaluator("e", echo), inputs(1), timeout=5)
    (failed,) = in_time(lambda: list(run))
    assert "no timer could be started for the run's time-out" in str(failed.error)  # type: ignore[attr-defined]


def test_data_of_a_local_run_is_made_in_the_context_of_the_caller() -> None:
    caller = threading.get_ident()
    variable = contextvars.ContextVar("variable", default=0)

    def data() -> Any:
        assert threading.get_ident() != caller
        return inputs(variable.get())

    variable.set(5)
    assert [result.output for result in Evaluator("e", echo, data=data).run().results] == [5]


def test_the_time_out_of_a_local_run_covers_the_making_of_its_data() -> None:
    let_go = threading.Event()
    evaluator = Evaluator("e", echo, data=lambda: happens(let_go), timeout=0.1)
    with pytest.raises(RunTimeoutError):
        in_time(evaluator.run)
    let_go.set()

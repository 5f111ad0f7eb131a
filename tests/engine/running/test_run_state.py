"""The state of a run, and its four endings, with an executor that does what each test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.channel import ChannelClosedError
from flask_braintrust_evals.engine.running.cases.executor import CaseJob, Emit
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.running.run_state import RunState
from flask_braintrust_evals.engine.running.sources.case_source import CasesToMake
from flask_braintrust_evals.engine.running.sources.own_cases import own_cases
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    Event,
    RunFailed,
    RunFinished,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseRef, CaseResult
from flask_braintrust_evals.errors import DataError, RunError, RunTimeoutError, WorkersError
from tests.engine.support import inputs, kinds
from tests.support import PATIENCE, happens, in_time


class Executor:
    """Runs each case by calling ``body`` between its start and its end."""

    def __init__(self, body: Callable[[CaseJob], Any] = lambda job: None) -> None:
        self.body = body
        self.cancelled = threading.Event()
        self.refused = threading.Event()

    def run(self, job: CaseJob, emit: Emit) -> None:
        ref = CaseRef(f"{job.index:016x}", job.index, job.trial_index, None)
        emit(CaseStarted(ref, job.case))
        self.body(job)
        try:
            emit(TaskFinished(ref, b"1", None))
        except ChannelClosedError:
            self.refused.set()
            raise
        emit(CaseFinished(CaseResult(ref, job.case, output=1, output_data=b"1")))

    def cancel(self) -> None:
        self.cancelled.set()


def run_of(executor: Executor, cases: Iterable[Any] | CasesToMake, **options: Any) -> Run:
    return Run(executor, cases, **{"max_concurrency": 2, **options})


def failing_data() -> Iterator[Any]:
    yield {"input": 1}
    raise OSError("the file is gone")


def test_a_run_that_has_not_started_is_new() -> None:
    run = run_of(Executor(), inputs(1))
    assert (run.state, run.state.is_end, run.error) == (RunState.NEW, False, None)


def test_a_run_is_running_while_its_consumer_iterates_and_done_after_its_last_case() -> None:
    executor = Executor()
    run = run_of(executor, inputs(1, 2, 3))
    states = in_time(lambda: [(type(event), run.state) for event in run])
    assert states[-1] == (RunFinished, RunState.DONE)
    assert {state for _, state in states[:-1]} == {RunState.RUNNING}
    assert (run.summary.cases, run.error) == (3, None)


def test_a_run_whose_data_fails_finishes_its_cases_and_has_failed() -> None:
    gate, failed = threading.Event(), threading.Event()

    def data() -> Iterator[Any]:
        try:
            yield from failing_data()
        finally:
            failed.set()

    executor = Executor(lambda job: happens(gate))
    run = run_of(executor, data())
    events = iter(run)
    assert isinstance(next(events), CaseStarted)
    with ThreadPoolExecutor(1) as pool:
        consuming = pool.submit(list, events)
        happens(failed)  # the second worker has asked for a second case
        assert not executor.cancelled.is_set()
        gate.set()
        rest = consuming.result(PATIENCE)
    assert kinds(rest) == ["TaskFinished", "CaseFinished", "RunFailed"]
    assert run.state is RunState.FAILED
    assert isinstance(run.error, DataError)
    assert "the file is gone" in str(run.error)


def test_a_run_that_fails_does_not_wait_for_its_data() -> None:
    asked = threading.Event()

    async def data() -> AsyncIterator[Any]:
        yield {"input": 1}
        asked.set()
        await asyncio.sleep(PATIENCE * 2)

    def body(job: CaseJob) -> None:
        happens(asked)
        raise WorkersError("no worker takes cases")

    run = run_of(Executor(body), own_cases(data, "e"))
    assert kinds(in_time(lambda: list(run))) == ["CaseStarted", "RunFailed"]
    assert str(run.error) == "no worker takes cases"


def test_a_stopped_run_delivers_what_was_running_and_is_cancelled() -> None:
    executor = Executor(lambda job: happens(executor.cancelled))
    run = run_of(executor, inputs(*range(100)), max_concurrency=1)
    events = iter(run)
    assert isinstance(next(events), CaseStarted)
    run.stop()
    assert run.state is RunState.STOPPING
    assert kinds(in_time(lambda: list(events))) == ["TaskFinished", "CaseFinished", "RunFinished"]
    assert (run.state, run.error, run.summary.cases) == (RunState.CANCELLED, None, 1)


def test_a_run_that_is_stopped_before_it_began_runs_no_case() -> None:
    run = run_of(Executor(lambda job: pytest.fail("ran")), inputs(1, 2))
    run.stop()
    assert kinds(in_time(lambda: list(run))) == ["RunFinished"]
    assert (run.state, run.summary.cases) == (RunState.CANCELLED, 0)


def test_a_closed_run_is_cancelled_and_lets_no_worker_emit_anything() -> None:
    gate = threading.Event()
    executor = Executor(lambda job: happens(gate))
    run = run_of(executor, inputs(1, 2, 3))
    next(iter(run))
    run.close()
    assert run.state is RunState.CANCELLED
    assert executor.cancelled.is_set()
    gate.set()
    happens(executor.refused)


@pytest.mark.parametrize("reason", [RunError("the server stops"), RunTimeoutError("too slow")])
def test_a_run_that_is_given_up_reports_running_cases_as_failed(reason: RunError) -> None:
    gate = threading.Event()
    executor = Executor(lambda job: happens(gate))
    run = run_of(executor, inputs(1), max_concurrency=1)
    events = iter(run)
    next(events)
    run.give_up(reason)
    rest = in_time(lambda: list(events))
    gate.set()
    assert kinds(rest) == ["TaskFinished", "CaseFinished", "RunFailed"]
    assert run.state is RunState.GIVEN_UP
    assert run.error is reason
    assert executor.cancelled.is_set()
    assert (run.summary.cases, run.summary.failed, run.summary.interrupted) == (0, 0, 1)
    assert isinstance(rest[-1], RunFailed)
    assert str(rest[-1].error) == f"{reason}; done by then: 0 cases"


def test_a_time_out_gives_a_run_up_also_while_it_waits_for_its_last_cases() -> None:
    gate = threading.Event()
    run = run_of(Executor(lambda job: happens(gate)), failing_data(), timeout=0.2)
    events = in_time(lambda: list(run))
    gate.set()
    assert run.state is RunState.GIVEN_UP
    assert isinstance(run.error, RunTimeoutError)
    assert isinstance(events[-1], RunFailed)


def test_the_first_ending_stays() -> None:
    run = run_of(Executor(), inputs(1))
    in_time(lambda: list(run))
    for end in (run.close, run.stop, lambda: run.give_up(RunError("late"))):
        end()
        assert (run.state, run.error) == (RunState.DONE, None)
    run = run_of(Executor(), inputs(1))
    run.close()
    run.give_up(RunError("late"))
    assert (run.state, run.error) == (RunState.CANCELLED, None)


def test_another_thread_may_close_a_run_whose_consumer_waits() -> None:
    gate = threading.Event()
    run = run_of(Executor(lambda job: happens(gate)), inputs(1), max_concurrency=1)
    events = iter(run)
    next(events)
    rest: list[list[Event]] = []
    consumer = threading.Thread(target=lambda: rest.append(list(events)), daemon=True)
    consumer.start()
    run.close()
    consumer.join(PATIENCE)
    gate.set()
    assert not consumer.is_alive()
    assert run.state is RunState.CANCELLED


def test_a_run_is_released_once_by_whichever_of_consumer_and_workers_is_last() -> None:
    for consumer_is_last in (True, False):
        released, gate = threading.Event(), threading.Event()
        count: list[int] = []
        run = run_of(Executor(lambda job, gate=gate: happens(gate)), inputs(1))  # type: ignore[misc]
        run.when_closed(lambda count=count: count.append(1))  # type: ignore[misc]
        run.when_closed(released.set)
        events = iter(run)
        next(events)
        if consumer_is_last:
            gate.set()
            run.wait_for_workers(PATIENCE)
            assert not count
        run.close()
        if not consumer_is_last:
            assert not count
            gate.set()
        happens(released)
        run.close()
        assert count == [1]

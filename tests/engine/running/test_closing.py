"""A run that is closed before its cases are done."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.loops.event_loop import background_loop
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.event_flow import MAX_WAITING_EVENTS
from flask_braintrust_evals.engine.running.sources.case_source import CasesToMake
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.events import CaseStarted, Event
from tests.engine.support import Closing, Spans, consumed, disconnect, echo, inputs, new_run
from tests.support import PATIENCE, Counter, eventually, happens, in_time


def started(event: Event) -> bool:
    return isinstance(event, CaseStarted)


@pytest.mark.parametrize("how", ["the run is closed", "its iterator is closed"])
def test_closing_cancels_running_cases_and_ends_when_the_last_worker_exits(how: str) -> None:
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
    disconnect(events)
    run.close()

    happens(closing.happened)
    assert closing.log == ["task", "task", "task", "closed"]


def test_closing_does_not_wait_for_a_task_that_ignores_its_cancellation() -> None:
    closing, let_go = Closing(), threading.Event()

    run = new_run(Evaluator("e", lambda input: happens(let_go)), inputs(1), when_closed=closing)
    events = consumed(run, started)
    in_time(lambda: disconnect(events))

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
    disconnect(events)

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
    events = consumed(run, started)
    happens(within)
    disconnect(events)

    happens(closing.happened)
    assert log == ["cancelled"]


def test_an_async_task_that_does_not_end_does_not_block_closing() -> None:
    closing, within, let_go = Closing(), threading.Event(), threading.Event()

    async def task(input: Any) -> None:
        within.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.to_thread(let_go.wait, PATIENCE)

    run = new_run(Evaluator("e", task), inputs(1), when_closed=closing)
    events = consumed(run, started)
    happens(within)
    in_time(lambda: disconnect(events))

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
    events = consumed(run, started)
    happens(within)
    disconnect(events)

    # The worker has received the report by then, and must not have exited for it.
    assert not closing.happened.wait(0.1)
    let_go.set()
    happens(closing.happened)
    assert closing.log == ["CancelledError on the loop: True", "cleaned up", "closed"]


def test_a_coroutine_that_is_returned_after_the_end_is_closed() -> None:
    closing = Closing()

    async def coroutine() -> None: ...

    def task(input: Any, hooks: Any) -> Any:
        happens(hooks.cancel_event)
        return coroutine()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = new_run(Evaluator("e", task), inputs(1), when_closed=closing)
        disconnect(consumed(run, started))
        happens(closing.happened)
        del run
        gc.collect()

    assert [str(warning.message) for warning in caught] == []


def test_closing_ends_workers_that_wait_for_the_consumer() -> None:
    closing, source = Closing(), Counter()

    def cases() -> Iterator[Any]:
        for number in range(1000):
            source.add()
            yield {"input": number}

    run = new_run(Evaluator("e", echo), cases(), max_concurrency=1, when_closed=closing)
    events = consumed(run, started)
    assert source.reaches(2 + (MAX_WAITING_EVENTS - 2) // 3)
    disconnect(events)

    happens(closing.happened)
    assert source.value < 100
    assert closing.log == ["closed"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_task_may_report_progress_after_the_run_is_closed(is_async: bool) -> None:
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
    events = consumed(run, started)
    happens(within)
    disconnect(events)

    happens(closing.happened)
    assert unhurt.is_set()


def test_closing_that_is_interrupted_cancels_all_the_same() -> None:
    closing = Closing()

    def interrupt() -> None:
        raise KeyboardInterrupt

    def make(cancellation: Cancellation) -> list[dict[str, Any]]:
        cancellation.add(make, interrupt)
        return inputs(1)

    def task(input: Any, hooks: Any) -> None:
        happens(hooks.cancel_event)
        closing.log.append("task")

    run = new_run(Evaluator("e", task), CasesToMake(make), when_closed=closing)
    events = consumed(run, started)
    with pytest.raises(KeyboardInterrupt):
        disconnect(events)

    happens(closing.happened)
    assert closing.log == ["task", "closed"]


def test_closing_closes_a_generator_of_cases() -> None:
    closing, generator_closed = Closing(), threading.Event()

    def cases() -> Iterator[Any]:
        try:
            for number in range(1000):
                yield {"input": number}
        finally:
            generator_closed.set()

    run = new_run(Evaluator("e", echo), cases(), max_concurrency=2, when_closed=closing)
    disconnect(consumed(run, started))

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


def test_callbacks_of_the_end_are_called_in_order_also_when_one_of_them_fails() -> None:
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


def test_callbacks_of_the_end_are_called_also_when_the_source_cannot_be_closed() -> None:
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


def test_closing_at_any_event_ends_all_workers() -> None:
    # Each event is another state for the workers to be in.
    for stop_after in range(1, 3 * 6 + 1):
        closing = Closing()
        run = new_run(
            Evaluator("e", echo), inputs(*range(6)), max_concurrency=3, when_closed=closing
        )
        events = iter(run)
        for _ in range(stop_after):
            in_time(lambda events=events: next(events))  # type: ignore[misc]
        disconnect(events)

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
    disconnect(consumed(run, started))

    happens(closing.happened)
    assert [span.name for span in spans.all] == ["task", "eval"]
    assert [len(span.events) for span in spans.all] == [1, 1], "the error of the task"


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("how", ["it is read to its end", "its iterator is closed"])
def test_a_run_that_has_ended_is_gone_without_a_garbage_collection(how: str) -> None:
    closing = Closing()
    run = new_run(Evaluator("e", echo), inputs(1, 2, 3), when_closed=closing)
    events = iter(run)
    in_time(partial(next, events))
    if how == "it is read to its end":
        in_time(partial(list, events))
    else:
        disconnect(events)
    happens(closing.happened)
    gone = weakref.ref(run)
    del run, events
    assert eventually(lambda: gone() is None)

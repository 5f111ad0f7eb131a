"""How long the scope of a case is open, and what it is told at its exit."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.hooks import EvalHooks
from tests.engine.support import echo, inputs, run_case, throw
from tests.support import eventually, happens, python

number: contextvars.ContextVar[int] = contextvars.ContextVar("number")


class Scopes:
    """Numbers the scopes, and notes the error with which each is exited."""

    def __init__(self) -> None:
        self.entered = 0
        self.exited: dict[int, BaseException | None] = {}

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        mine, self.entered = self.entered, self.entered + 1
        token = number.set(mine)
        try:
            yield
        except BaseException as error:
            self.exited[mine] = error
            raise
        else:
            self.exited[mine] = None
        finally:
            number.reset(token)

    @property
    def open(self) -> set[int]:
        return {*range(self.entered)} - self.exited.keys()


def test_a_task_that_goes_on_after_its_time_out_keeps_its_scope() -> None:
    scopes, may_end, seen = Scopes(), threading.Event(), list[tuple[int, set[int]]]()

    def task(input: Any) -> None:
        happens(may_end)
        seen.append((number.get(), scopes.open))

    result, _ = run_case(Evaluator("e", task, task_timeout=0.05), scope=scopes)
    assert result.error is not None and result.error.type == "TimeoutError"
    assert scopes.open == {0}
    may_end.set()
    eventually(lambda: scopes.exited)
    assert seen == [(0, {0})]
    assert isinstance(scopes.exited[0], TimeoutError)


def test_so_does_a_thread_of_a_coroutine_that_was_cancelled() -> None:
    scopes, started, may_end = Scopes(), threading.Event(), threading.Event()
    seen: list[tuple[int, set[int]]] = []

    def query() -> None:
        started.set()
        happens(may_end)
        seen.append((number.get(), scopes.open))

    async def task(input: Any) -> None:
        await asyncio.to_thread(query)

    # The run's own time-out, which callers choose.
    with pytest.raises(Exception, match="time-out"):
        Evaluator("e", task).run(inputs(1), timeout=0.3, scope=scopes)
    happens(started)
    assert scopes.open == {0}
    may_end.set()
    eventually(lambda: scopes.exited)
    assert seen == [(0, {0})]


def test_so_does_a_coroutine_that_ends_after_it_was_cancelled() -> None:
    scopes, may_end = Scopes(), threading.Event()
    seen: list[tuple[int, set[int]]] = []

    async def task(input: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            while not may_end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
            seen.append((number.get(), scopes.open))

    run_case(Evaluator("e", task, task_timeout=0.1), scope=scopes)
    assert scopes.open == {0}
    may_end.set()
    eventually(lambda: scopes.exited)
    assert seen == [(0, {0})]


def test_the_failing_exit_of_a_scope_that_was_kept_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_end = threading.Event()

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        try:
            yield
        finally:
            raise LookupError("no database")

    run_case(
        Evaluator("e", lambda input: happens(may_end), task_timeout=0.05),
        scope=scope,
    )
    may_end.set()
    eventually(lambda: "no database" in caplog.text)


def test_each_call_of_a_task_that_is_called_again_has_a_scope_of_its_own() -> None:
    scopes, seen = Scopes(), list[tuple[int, set[int]]]()

    class Busy(Exception):
        retry_after = 0.01

    def task(input: Any) -> Any:
        seen.append((number.get(), scopes.open))
        if len(seen) < 3:
            raise Busy(str(len(seen)))
        return input

    def scorer(output: Any) -> int:
        seen.append((number.get(), scopes.open))
        return 1

    result, _ = run_case(Evaluator("e", task, scores=[scorer], retries=5), scope=scopes)
    assert result.error is None and result.scores
    assert seen == [(0, {0}), (1, {1}), (2, {2}), (2, {2})]
    assert [str(each) for each in scopes.exited.values()] == ["1", "2", "None"]


def test_a_call_that_is_awaited_again_has_left_its_scope_before_the_pause() -> None:
    scopes = Scopes()

    class Busy(Exception):
        retry_after = 60.0

    def task(input: Any, hooks: EvalHooks) -> None:
        def cancel() -> None:
            eventually(lambda: scopes.exited)
            hooks.cancel_event.set()

        threading.Thread(target=cancel).start()
        raise Busy

    result, _ = run_case(Evaluator("e", task, retries=1), scope=scopes)
    assert result.error is not None
    assert isinstance(scopes.exited[0], Busy)


def test_an_error_handler_runs_in_a_scope_after_the_last_call() -> None:
    scopes, seen = Scopes(), list[bool]()

    class Busy(Exception):
        retry_after = 0.01

    def handler(span: Any, case: Any, names: list[str]) -> None:
        seen.append(number.get() in scopes.open)

    evaluator = Evaluator(
        "e",
        lambda input: throw(Busy()),
        scores=[lambda output: 1],
        retries=1,
        error_score_handler=handler,
    )
    run_case(evaluator, scope=scopes)
    assert seen == [True]
    assert not scopes.open


def test_a_scope_is_told_what_the_task_has_raised() -> None:
    scopes = Scopes()
    run_case(Evaluator("e", lambda input: throw(ValueError("half done"))), scope=scopes)
    assert str(scopes.exited[0]) == "half done"


def test_what_a_case_leaves_on_the_event_loop_goes_on_when_its_scope_is_exited() -> None:
    """Such as the tasks of a pool of connections, which the first case that needs one starts."""
    asked: list[Any] = []
    tasks: list[Any] = []

    async def pool() -> None:
        while True:
            asked.append(await asyncio.to_thread(lambda: 1))
            await asyncio.sleep(0.01)

    async def task(input: Any) -> Any:
        if not tasks:
            tasks.append(asyncio.create_task(pool()))
        return input

    scopes = Scopes()
    Evaluator("e", task).run(inputs(1), scope=scopes)
    assert not scopes.open
    count = len(asked)
    eventually(lambda: len(asked) > count + 2)
    tasks[0].get_loop().call_soon_threadsafe(tasks[0].cancel)
    eventually(tasks[0].done)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_scope_is_told_of_the_time_out_of_a_task(retries: int) -> None:
    scopes, may_end = Scopes(), threading.Event()
    evaluator = Evaluator("e", lambda input: happens(may_end), task_timeout=0.05, retries=retries)
    run_case(evaluator, scope=scopes)
    may_end.set()
    eventually(lambda: not scopes.open)
    assert isinstance(scopes.exited[0], TimeoutError)
    assert [scopes.exited[number] for number in range(1, 1 + retries)] == [None] * retries


def test_each_scope_is_told_of_the_error_of_its_own_call() -> None:
    scopes, calls = Scopes(), list[Any]()

    class Busy(Exception):
        retry_after = 0.01

    def task(input: Any) -> None:
        calls.append(input)
        raise Busy(str(len(calls)))

    run_case(Evaluator("e", task, retries=1), scope=scopes)
    assert [str(each) for each in scopes.exited.values()] == ["1", "2", "None"]


def test_a_scope_is_told_of_an_output_that_has_no_json_form() -> None:
    scopes = Scopes()
    result, _ = run_case(Evaluator("e", lambda input: iter([1])), scope=scopes)
    assert result.error is not None
    assert type(scopes.exited[0]).__name__ == result.error.type


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("count", [1, 2])
def test_the_scope_of_a_scorer_is_told_what_it_has_raised(count: int, is_async: bool) -> None:
    scopes = Scopes()

    def fails(output: Any) -> None:
        raise ValueError("half done")

    async def fails_later(output: Any) -> None:
        raise ValueError("half done")

    def succeeds(output: Any) -> int:
        return 1

    scorers = [fails_later if is_async else fails, succeeds][:count]
    run_case(Evaluator("e", echo, scores=scorers), scope=scopes)
    assert not scopes.open
    told = [str(each) for each in scopes.exited.values() if each is not None]
    assert told == ["half done"]


@pytest.mark.slow
def test_under_gevent_a_scope_is_exited_in_the_thread_that_it_was_entered_in() -> None:
    out = python(
        """
        from gevent import monkey
        monkey.patch_all()
        import asyncio, contextlib, time
        from gevent import get_hub
        from flask_braintrust_evals import Evaluator
        from flask_braintrust_evals.concurrency.gevent_patch import original, real_thread_id
        exits = []
        @contextlib.contextmanager
        def scope():
            entered = real_thread_id()
            try:
                yield
            finally:
                exits.append(entered == real_thread_id())
        async def task(input):
            await asyncio.to_thread(original("time", "sleep"), 0.3)
        def blocks(input):
            original("time", "sleep")(0.3)
        for options in ({}, {"blocking": True}):
            called = blocks if options else task
            Evaluator("e", called, task_timeout=0.05, **options).run([{"input": 1}], scope=scope)
            while len(exits) < 1 + bool(options):
                time.sleep(0.01)
        print(exits)
        """
    )
    assert out.split("\n")[0] == "[True, True]"

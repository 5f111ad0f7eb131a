"""Tasks and scorers that are coroutines: all of them run on one loop in the background."""

from __future__ import annotations

import asyncio
import functools
import pickle
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.loops.event_loop import background_loop
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.user_code.loop_advice import OTHER_LOOP
from tests.engine.support import echo, events_of, inputs, results_of, run_case
from tests.support import PATIENCE, Counter, in_time, python


async def double(input: Any) -> Any:
    await asyncio.sleep(0)
    return input * 2


class Doubler:
    async def __call__(self, input: Any) -> Any:
        return await double(input)


class Promise:
    """Something awaitable that is no coroutine."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        return double(self._value).__await__()


async def scaled(input: Any, factor: int = 1) -> Any:
    return input * factor


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(double, id="async function"),
        pytest.param(Doubler(), id="async object"),
        pytest.param(lambda input: double(input), id="lambda that returns a coroutine"),
        pytest.param(Promise, id="class of awaitables"),
        pytest.param(functools.partial(scaled, factor=2), id="partial"),
    ],
)
def test_a_task_may_be_asynchronous_in_any_way(task: Any) -> None:
    result, _ = run_case(Evaluator("e", task), 2)

    assert (result.output, result.output_json, result.error) == (4, "4", None)


class EvalAsync:
    async def eval_async(self, output: Any) -> float:
        return 0.5

    def _name(self) -> str:
        return "eval_async"


def test_scorers_and_classifiers_may_be_asynchronous() -> None:
    async def scorer(output: Any) -> Any:
        await asyncio.sleep(0)
        return [0.25, {"name": "more", "score": 0.75}]

    async def topic(output: Any) -> Any:
        return {"id": "t"}

    evaluator = Evaluator("e", echo, scores=[scorer, EvalAsync], classifiers=[topic])
    result, _ = run_case(evaluator)

    assert {name: score.score for name, score in result.scores.items()} == {
        "scorer": 0.25,
        "more": 0.75,
        "eval_async": 0.5,
    }
    assert result.classifications == {"topic": [{"id": "t"}]}


def test_coroutines_run_on_one_thread_which_is_neither_the_callers_nor_a_workers() -> None:
    workers: list[int] = []

    def task(input: Any) -> Awaitable[int]:
        workers.append(threading.get_ident())
        return there()

    async def there() -> int:
        return threading.get_ident()

    results = results_of(events_of(Evaluator("e", task), inputs(*range(8))))

    (loop_thread,) = {result.output for result in results}
    assert loop_thread not in {*workers, threading.get_ident()}


def test_many_coroutines_wait_at_the_same_time() -> None:
    here = Counter()
    all_here: list[asyncio.Event] = []

    async def task(input: Any) -> None:
        if not all_here:
            all_here.append(asyncio.Event())
        if here.add() == 50:
            all_here[0].set()
        await asyncio.wait_for(all_here[0].wait(), PATIENCE)

    events = events_of(Evaluator("e", task), inputs(*range(50)), max_concurrency=50)

    assert [result.error for result in results_of(events)] == [None] * 50


def test_several_runs_share_the_loop() -> None:
    barrier = threading.Barrier(4)

    async def task(input: Any) -> Any:
        await asyncio.to_thread(barrier.wait, PATIENCE)
        return input

    outputs: list[Any] = []

    def run(number: int) -> None:
        outputs.append(Evaluator("e", task).run(inputs(number)).results[0].output)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(outputs) == [0, 1, 2, 3]


class Processes(Executor):
    """What it is given must be picklable, as for a pool of processes."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        function, values = pickle.loads(pickle.dumps((fn, args)))
        done: Future[Any] = Future()
        done.set_result(function(*values))
        return done


def test_coroutines_may_use_pools_of_processes() -> None:
    async def task(input: int) -> Any:
        return await asyncio.get_running_loop().run_in_executor(Processes(), pow, input, 2)

    assert [each.output for each in Evaluator("e", task).run(inputs(1, 2)).results] == [1, 4]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
def test_coroutines_may_use_pools_of_interpreters() -> None:
    from concurrent.futures import InterpreterPoolExecutor  # type: ignore[attr-defined]

    async def task(input: int) -> Any:
        with InterpreterPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, pow, input, 2)

    assert [each.output for each in Evaluator("e", task).run(inputs(3)).results] == [9]


def test_the_error_of_a_client_of_another_loop_says_what_to_write() -> None:
    other = asyncio.new_event_loop()
    reply = other.create_future()

    async def ask() -> None:
        try:
            await reply
        except RuntimeError as error:
            raise ConnectionError("Connection error.") from error

    result = Evaluator("e", lambda input: asyncio.run(ask())).run(inputs(1))
    other.close()
    assert str(result.failures[0].error) == f"ConnectionError: Connection error; {OTHER_LOOP}"


def test_a_run_may_be_made_from_a_thread_that_has_a_loop_of_its_own() -> None:
    async def main() -> Any:
        return Evaluator("e", double).run(inputs(1)).results[0].output

    assert in_time(lambda: asyncio.run(main())) == 2


def test_a_plain_task_may_run_a_loop_of_its_own() -> None:
    evaluator = Evaluator("e", lambda input: asyncio.run(double(input)))

    assert [r.output for r in results_of(events_of(evaluator, inputs(1, 2)))] == [2, 4]


def test_a_task_may_run_another_evaluator() -> None:
    inner = Evaluator("inner", double)

    def task(input: Any) -> Any:
        return inner.run(inputs(input)).results[0].output

    assert [r.output for r in results_of(events_of(Evaluator("e", task), inputs(1, 2)))] == [2, 4]


def test_a_task_that_cancels_itself_does_not_cancel_the_run() -> None:
    async def task(input: Any) -> Any:
        if input == 1:
            current = asyncio.current_task()
            assert current is not None
            current.cancel("enough")
            await asyncio.sleep(0)
        return input

    first, second = results_of(events_of(Evaluator("e", task), inputs(1, 2), max_concurrency=1))

    assert (str(first.error), second.output) == ("CancelledError: enough", 2)
    assert first.error is not None
    assert "await asyncio.sleep(0)" in first.error.stack


def test_the_background_loop_knows_its_thread() -> None:
    async def there() -> bool:
        return background_loop().is_current()

    assert in_time(lambda: background_loop().run(there(), Cancellation())) is True
    assert background_loop().is_current() is False


def test_a_coroutine_that_is_cancelled_beforehand_is_cancelled() -> None:
    cancellation = Cancellation()
    cancellation.set()
    within = threading.Event()

    async def there() -> None:
        within.set()
        await asyncio.sleep(600)

    coroutine = there()
    with pytest.raises(asyncio.CancelledError):
        in_time(lambda: background_loop().run(coroutine, cancellation))
    coroutine.close()

    assert not within.is_set()


# What would end the loop is tried in a process of its own, for it has but one.
LOOP_ENDERS = {
    "a task raises SystemExit": "sys.exit(3)",
    "a task raises KeyboardInterrupt": "raise KeyboardInterrupt",
    "something left running raises SystemExit": (
        "asyncio.get_running_loop().call_soon(sys.exit, 3); await asyncio.sleep(0.01)"
    ),
    "a task stops the loop": "asyncio.get_running_loop().stop()",
}


@pytest.mark.slow
@pytest.mark.parametrize("body", LOOP_ENDERS.values(), ids=LOOP_ENDERS.keys())
def test_the_loop_goes_on_when(body: str) -> None:
    output = python(
        f"""
        import asyncio, os, sys, threading
        from flask_braintrust_evals.engine.evaluator import Evaluator

        async def bad(input):
            {body}
            return "returned"

        async def good(input):
            await asyncio.sleep(0)
            return "good"

        def run():
            (result,) = Evaluator("bad", bad).run([{{"input": 1}}]).results
            assert result.output == "returned" or result.error.type in body, result
            (result,) = Evaluator("good", good).run([{{"input": 1}}]).results
            print(result.output, flush=True)

        body = {body.replace("sys.exit(3)", "SystemExit")!r}
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(3)
        if thread.is_alive():
            print("hangs", flush=True)
        os._exit(0)
        """
    )

    assert output == "good\n"

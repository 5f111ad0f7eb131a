"""Scorers and classifiers of one case run at the same time, and nothing depends on their timing."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals import EvalsError, Evaluator, Score
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.running.scoring import case_scorer
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from tests.engine.support import Spans, attribute, echo, inputs, new_run, run_case
from tests.support import PATIENCE, python


class Meeting:
    """Calls that return only once all of them are under way."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=PATIENCE)

    def plain(self, output: Any) -> float:
        self._barrier.wait()
        return 1.0

    async def coroutine(self, output: Any) -> float:
        await asyncio.to_thread(self._barrier.wait)
        return 1.0

    def label(self, output: Any) -> dict[str, str]:
        self._barrier.wait()
        return {"id": "met"}


def test_plain_and_async_scorers_classifiers_and_hosted_scorers_run_at_the_same_time() -> None:
    meeting = Meeting(5)
    evaluator = Evaluator(
        "e", echo, scores=[meeting.plain, meeting.coroutine], classifiers=[meeting.label]
    )
    extra = [ScorerCall(name, meeting.plain, ("output",), ()) for name in ("far", "farther")]

    result, _ = run_case(evaluator, extra_scorers=extra)

    assert not result.scorer_errors
    assert list(result.scores) == ["plain", "coroutine", "far", "farther"]
    assert result.classifications == {"label": [{"id": "met"}]}


def test_a_case_has_few_threads_for_its_scorers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_scorer, "MAX_THREADS", 2)
    meeting = threading.Barrier(3)
    threads: list[int] = []

    def plain(output: Any) -> float:
        threads.append(threading.get_ident())
        meeting.wait(PATIENCE)  # passed only where three are called at a time, until the last one
        return 1.0

    extra = [ScorerCall(f"far {n}", plain, ("output",), ()) for n in range(9)]
    result, _ = run_case(Evaluator("e", echo), extra_scorers=extra)
    assert not result.scorer_errors
    assert list(result.scores) == [each.name for each in extra]
    assert len(set(threads)) == 3


def test_scorers_that_wait_for_a_thread_are_not_called_once_the_run_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(case_scorer, "MAX_THREADS", 1)
    cancellation, called = Cancellation(), []
    meeting = threading.Barrier(2)

    def plain(output: Any) -> float:
        called.append(output)
        meeting.wait(PATIENCE)
        cancellation.set()
        return 1.0

    extra = [ScorerCall(f"far {n}", plain, ("output",), ()) for n in range(6)]
    result, _ = run_case(Evaluator("e", echo), extra_scorers=extra, cancellation=cancellation)
    assert len(called) == 2
    assert len(result.scorer_errors) == 4


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_results_spans_and_failures_are_in_the_order_of_declaration(
    order: str, spans: Spans
) -> None:
    gates = [threading.Event() for _ in range(5)]
    gates[0 if order == "forwards" else -1].set()
    step = 1 if order == "forwards" else -1

    def made(index: int) -> Callable[..., Any]:
        def scorer(output: Any) -> Any:
            assert gates[index].wait(PATIENCE)
            following = index + step
            if 0 <= following < len(gates):
                gates[following].set()
            if index == 3:
                raise ValueError("no")
            return Score("shared", index / 10) if index in (1, 2) else index / 10

        scorer.__name__ = f"s{index}"
        return scorer

    evaluator = Evaluator("e", echo, scores=[made(index) for index in range(5)])
    result, _ = run_case(evaluator, tracer=EvalTracer(spans.tracer))

    assert {name: score.score for name, score in result.scores.items()} == {
        "s0": 0.0,
        "shared": 0.1,
        "shared (2)": 0.2,
        "s4": 0.4,
    }
    assert list(result.scores) == ["s0", "shared", "shared (2)", "s4"]
    assert list(result.scorer_errors) == ["s3"]
    names = [
        span.name for span in spans.all if attribute(span, "span_attributes")["type"] == "score"
    ]
    assert names == ["s0", "s1", "s2", "s3", "s4"]
    assert attribute(spans.one("s2"), "scores") == {"shared (2)": 0.2}


def test_a_span_ends_when_its_scorer_does_not_when_the_last_one_does(spans: Spans) -> None:
    first_done, rest = threading.Event(), threading.Event()

    def first(output: Any) -> int:
        first_done.set()
        return 1

    def second(output: Any) -> int:
        assert first_done.wait(PATIENCE)
        rest.wait(0.05)
        return 1

    run_case(Evaluator("e", echo, scores=[second, first]), tracer=EvalTracer(spans.tracer))
    early, late = spans.one("first").end_time or 0, spans.one("second").end_time or 0
    assert late - early > 40_000_000


def test_quick_scorers_are_called_on_the_workers_own_thread() -> None:
    threads: dict[str, set[int]] = {"a": set(), "b": set(), "task": set()}

    def task(input: Any) -> None:
        threads["task"] = {threading.get_ident()}

    def a(output: Any) -> int:
        threads["a"] = {threading.get_ident()}
        return 1

    def b(output: Any) -> int:
        threads["b"] = {threading.get_ident()}
        return 1

    # The first case shows that they are quick.
    Evaluator("e", task, scores=[a, b]).run(inputs(*range(20)), max_concurrency=1)
    assert threads["a"] == threads["b"] == threads["task"]


@pytest.mark.parametrize("count", [1, 3])
def test_each_of_several_has_a_scope_of_its_own_inside_that_of_the_case(count: int) -> None:
    variable: contextvars.ContextVar[tuple[int, ...]] = contextvars.ContextVar("scopes", default=())
    made = iter(range(100))
    seen: list[tuple[int, ...]] = []
    lock = threading.Lock()

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        with lock:
            token = variable.set((*variable.get(), next(made)))
        yield
        variable.reset(token)

    def scorer(output: Any) -> int:
        with lock:
            seen.append(variable.get())
        return 1

    def named(index: int) -> Any:
        def each(output: Any) -> int:
            return scorer(output)

        each.__name__ = f"s{index}"
        return each

    run_case(Evaluator("e", echo, scores=[named(n) for n in range(count)]), scope=scope)
    if count == 1:
        assert seen == [(0,)]
    else:
        assert {scopes[0] for scopes in seen} == {0}
        assert len({scopes[1] for scopes in seen}) == count
        assert {len(scopes) for scopes in seen} == {2}


def test_a_scope_that_fails_costs_its_scorer_alone() -> None:
    entered: list[int] = []

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        entered.append(1)
        if len(entered) == 2:  # that of the first scorer
            raise EvalsError("no database")
        yield

    def a(output: Any) -> int:
        return 1

    def b(output: Any) -> int:
        return 1

    result, _ = run_case(Evaluator("e", echo, scores=[a, b]), scope=scope)
    assert len(result.scores) == len(result.scorer_errors) == 1
    assert result.error is None


def test_a_scope_that_fails_at_its_end_costs_its_scorer_alone(spans: Spans) -> None:
    count = iter(range(10))

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        number = next(count)
        yield
        if number == 1:
            raise EvalsError("the teardown failed")

    def a(output: Any) -> int:
        return 1

    def b(output: Any) -> int:
        return 1

    result, _ = run_case(
        Evaluator("e", echo, scores=[a, b]), scope=scope, tracer=EvalTracer(spans.tracer)
    )
    assert [error.message for error in result.scorer_errors.values()] == ["the teardown failed"]
    assert result.error is None
    assert {span.name for span in spans.all} == {"eval", "task", "a", "b"}


def test_coroutine_scorers_are_cancelled_with_the_run() -> None:
    started, cancelled = threading.Semaphore(0), []

    async def scorer(output: Any) -> None:
        started.release()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    async def another(output: Any) -> None:
        await scorer(output)

    closed = threading.Event()
    run = new_run(Evaluator("e", echo, scores=[scorer, another]), inputs(1), when_closed=closed.set)
    events = iter(run)
    next(events)
    for _ in range(2):
        assert started.acquire(timeout=PATIENCE)
    run.close()
    assert closed.wait(PATIENCE)
    assert cancelled == [1, 1]


@pytest.mark.slow
def test_under_gevent_four_that_wait_take_as_long_as_one() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import asyncio, threading, time
    from flask_braintrust_evals import Evaluator

    running, peak = 0, 0

    def wait(output):
        global running, peak
        running += 1
        peak = max(peak, running)
        time.sleep(0.1)
        running -= 1
        return 1

    def named(index):
        scorer = lambda output: wait(output)
        scorer.__name__ = f"s{index}"
        return scorer

    evaluator = Evaluator("e", lambda input: input, scores=[named(n) for n in range(4)])
    evaluator.run([{"input": 1}])
    print(peak)
    """
    assert python(script) == "4\n"

"""``task_timeout`` and ``blocking``: tasks that take too long, or hold up their thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.hooks import EvalHooks
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import CaseProgress
from flask_braintrust_evals.errors import RegistrationError
from tests.engine.support import Spans, attribute, events_of, inputs, results_of, run_case
from tests.support import happens, python

LIMIT = 0.05
MESSAGE = f"TimeoutError: the task's time-out of {LIMIT} seconds was reached"


def test_a_task_that_never_returns_fails_its_case_and_frees_the_run() -> None:
    release = threading.Event()

    def task(input: str) -> str:
        if input == "stuck":
            happens(release)
        return input

    evaluator = Evaluator("e", task, scores=[lambda output: 1], task_timeout=LIMIT)
    try:
        results = results_of(
            events_of(evaluator, inputs("a", "stuck", "b", "stuck"), max_concurrency=1)
        )
    finally:
        release.set()
    assert [each.output for each in results] == ["a", None, "b", None]
    assert [each.error and str(each.error) for each in results] == [None, MESSAGE, None, MESSAGE]
    assert [len(each.scores) for each in results] == [1, 0, 1, 0]


def test_a_task_at_its_time_out_is_cancelled_and_the_others_are_not() -> None:
    cancelled = threading.Event()

    def task(input: str, hooks: EvalHooks) -> Any:
        if input == "slow":
            happens(hooks.cancel_event)
            cancelled.set()
            return None
        happens(cancelled)
        return hooks.cancel_event.is_set()

    def fast(input: str, hooks: EvalHooks) -> Any:
        return task(input, hooks)

    result, _ = run_case(Evaluator("e", task, task_timeout=LIMIT), "slow")
    assert str(result.error) == MESSAGE
    happens(cancelled)
    result, _ = run_case(Evaluator("e", fast, task_timeout=10), "fast")
    assert result.output is False


def test_what_a_task_does_once_it_is_told_of_its_time_out_changes_nothing() -> None:
    done = threading.Semaphore(0)

    def task(input: Any, hooks: EvalHooks) -> None:
        hooks.metadata["before"] = True
        happens(hooks.cancel_event)
        hooks.metadata["after"] = True
        hooks.report_progress({"event": "text_delta", "data": "after"})
        done.release()

    evaluator = Evaluator("e", task, task_timeout=LIMIT)
    events = events_of(evaluator, inputs(*range(20)), max_concurrency=20)
    for _ in range(20):
        assert done.acquire(timeout=10)
    assert [each.metadata for each in results_of(events)] == [{"before": True}] * 20
    assert not [event for event in events if isinstance(event, CaseProgress)]


def test_a_coroutine_whose_time_is_up_is_cancelled() -> None:
    cancelled = threading.Event()

    async def task(input: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    result, _ = run_case(Evaluator("e", task, task_timeout=LIMIT))
    assert str(result.error) == MESSAGE
    happens(cancelled)


def test_a_coroutine_that_will_not_end_is_not_waited_for() -> None:
    release = threading.Event()

    async def task(input: Any) -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                pass

    try:
        result, _ = run_case(Evaluator("e", task, task_timeout=LIMIT))
    finally:
        release.set()
    assert str(result.error) == MESSAGE


@pytest.mark.parametrize("own", [TimeoutError(), TimeoutError("the database's")])
def test_a_tasks_own_time_out_keeps_its_text(own: Exception) -> None:
    def task(input: Any) -> None:
        raise own

    result, _ = run_case(Evaluator("e", task, task_timeout=10))
    assert result.error is not None
    assert result.error.message == str(own)


@pytest.mark.parametrize("limit", [None, 10])
def test_the_end_of_a_run_reaches_tasks_with_and_without_a_limit(limit: float | None) -> None:
    cancellation, told = Cancellation(), threading.Event()

    def task(input: Any, hooks: EvalHooks) -> str:
        cancellation.set()
        happens(hooks.cancel_event)
        told.set()
        return "cancelled"

    evaluator = Evaluator("e", task, task_timeout=limit)
    result, _ = run_case(evaluator, cancellation=cancellation)
    assert told.is_set()
    assert (result.interrupted, result.output) == (True, None)


def test_a_task_with_a_limit_reports_progress_in_order_and_not_after_its_end() -> None:
    release, late = threading.Event(), threading.Event()

    def task(input: Any, hooks: EvalHooks) -> None:
        for number in range(3):
            hooks.report_progress({"event": "text_delta", "data": str(number)})
        happens(release)
        hooks.report_progress({"event": "text_delta", "data": "late"})
        hooks.metadata["late"] = True
        late.set()

    evaluator = Evaluator("e", task, task_timeout=LIMIT)
    result, events = run_case(evaluator, EvalCase("x", metadata={"a": 1}))
    release.set()
    happens(late)
    progress = [event.event["data"] for event in events if isinstance(event, CaseProgress)]
    assert progress == ["0", "1", "2"]
    assert result.metadata == {"a": 1}


def test_a_task_with_a_limit_is_traced_as_any_other() -> None:
    spans = Spans()

    def task(input: Any, hooks: EvalHooks) -> Any:
        with hooks.span.start_span("inside"):
            return input

    run_case(Evaluator("e", task, task_timeout=10), tracer=EvalTracer(spans.tracer))
    assert spans.tree() == {"eval": {"task": {"inside": {}}}}


def test_the_spans_of_a_case_whose_time_is_up_say_so() -> None:
    spans, release = Spans(), threading.Event()
    evaluator = Evaluator("e", lambda input: happens(release), task_timeout=LIMIT)
    run_case(evaluator, tracer=EvalTracer(spans.tracer))
    release.set()
    for name in ("eval", "task"):
        assert spans.one(name).status.status_code is StatusCode.ERROR
        assert "time-out" in str(spans.one(name).status.description)
    assert attribute(spans.one("task"), "output_json") is None


@pytest.mark.parametrize("limit", [0, -1, "5", True, float("inf")])
def test_a_limit_that_makes_no_sense_is_refused(limit: Any) -> None:
    with pytest.raises(RegistrationError, match="task_timeout must be seconds above 0, not"):
        Evaluator("e", lambda input: input, task_timeout=limit)


BLOCKING = """
from gevent import monkey
monkey.patch_all()
import contextvars, threading, gevent
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.concurrency.gevent_patch import real_thread_id

sleep = monkey.get_original("time", "sleep")
main = real_thread_id()
ids, ticks = set(), []

def task(input, hooks):
    hooks.report_progress({"data": "begun"})
    ids.add(real_thread_id())
    sleep(0.05)  # as a C extension: nothing else in this thread runs meanwhile
    if input == 3:
        raise SystemExit
    return input

def scorer(output):
    ids.add(real_thread_id())
    return 1

async def judge(output):
    return 1

def tick():
    while True:
        ticks.append(gevent.sleep(0.001))

ticker = gevent.spawn(tick)
evaluator = Evaluator("e", task, scores=[scorer, judge], blocking=True%s)
result = evaluator.run([{"input": n} for n in range(10)], max_concurrency=10)
print([each.output for each in result.results], result.scores["judge"].count)
print(main in ids, len(ids) >= 5, len(ticks) >= 5, result.results[3].error.type)
"""


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", ", task_timeout=20"])
def test_a_blocking_task_runs_in_real_threads_and_blocks_no_greenlet(more: str) -> None:
    assert python(BLOCKING % more) == (
        "[0, 1, 2, None, 4, 5, 6, 7, 8, 9] 9\nFalse True True SystemExit\n"
    )


def test_without_gevent_a_blocking_task_stays_in_its_worker() -> None:
    evaluator = Evaluator("e", lambda input: threading.current_thread().name, blocking=True)
    assert evaluator.run(inputs(1)).results[0].output == "eval-1"


def test_a_task_that_goes_on_after_its_time_out_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = threading.Event()
    try:
        evaluator = Evaluator("e", lambda input: happens(let_go), task_timeout=0.05)
        evaluator.run(inputs(1, 2, 3))
        (warning,) = [each for each in caplog.messages if "task_timeout is over" in each]
        assert warning.startswith("evaluator 'e': a task goes on although")
        assert "(such tasks in this process: " in warning
    finally:
        let_go.set()

"""The engine under gevent, and after a fork. Each in a process of its own."""

from __future__ import annotations

import json

import pytest

from tests.support import python

pytestmark = pytest.mark.slow

RUN = '''
import asyncio, json, os, sys, threading, time
from flask_braintrust_evals.engine.evaluator import Evaluator

def trial():
    """Sync and async tasks and scorers, more at a time than one thread could run."""
    barrier = threading.Barrier(5)

    def task(input, hooks):
        barrier.wait(10)
        hooks.report_progress({"data": "half"})
        time.sleep(0.001)
        return input * 2

    async def async_task(input, hooks):
        hooks.report_progress({"data": "half"})
        await asyncio.sleep(0.001)
        return input * 2

    def correct(input, output):
        return output == input * 2

    async def async_correct(input, output):
        await asyncio.sleep(0.001)
        return output == input * 2

    def failing(output):
        raise SystemExit

    cases = [{"input": number} for number in range(20)]
    outcomes = []
    for each in (task, async_task, lambda input: async_task(input, NoHooks)):
        evaluator = Evaluator("e", each, scores=[correct, async_correct, failing])
        result = evaluator.run(cases, max_concurrency=5, timeout=15)
        outcomes.append([
            [r.output for r in result.results] == [c["input"] * 2 for c in cases],
            result.scores["correct"].mean,
            result.scores["async_correct"].mean,
            result.summary.scorer_errors,
        ])
    return outcomes

class NoHooks:
    report_progress = staticmethod(lambda event: None)
'''
OUTCOMES = [[True, 1.0, 1.0, {"failing": 20}]] * 3
PATCH = """
from gevent import monkey
monkey.patch_all()
"""
# A gevent worker of gunicorn that was given --preload imports the application before it patches.
IMPORT_BEFORE = """
import warnings
warnings.simplefilter("ignore")
import flask_braintrust_evals.engine.running.sources.own_cases
import flask_braintrust_evals.engine.running.run
"""


@pytest.mark.parametrize(
    "start",
    ["", PATCH, IMPORT_BEFORE + PATCH],
    ids=["threads", "patched first", "imported first"],
)
def test_evaluators_run(start: str) -> None:
    output = python(f"{start}\n{RUN}\nprint(json.dumps(trial()))")

    assert json.loads(output) == OUTCOMES


@pytest.mark.parametrize(
    "start", [PATCH, IMPORT_BEFORE + PATCH], ids=["patched first", "imported first"]
)
def test_several_runs_in_greenlets_of_one_thread_go_on_at_the_same_time(start: str) -> None:
    output = python(
        f"""{start}
import gevent
{RUN}
greenlets = [gevent.spawn(trial) for _ in range(4)]
gevent.joinall(greenlets, raise_error=True)
print(json.dumps([greenlet.value for greenlet in greenlets]))
"""
    )

    assert json.loads(output) == [OUTCOMES] * 4


def test_while_a_run_waits_other_greenlets_of_its_thread_go_on() -> None:
    output = python(
        f"""{PATCH}
import gevent
{RUN}
turn = threading.Event()

async def task(input):
    while not turn.is_set():
        await asyncio.sleep(0.001)
    return "other greenlets had their turn"

gevent.spawn(turn.set)
print(Evaluator("e", task).run([{{"input": 1}}], timeout=15).results[0].output)
"""
    )

    assert output == "other greenlets had their turn\n"


def test_under_gevent_a_consumer_that_disconnects_cancels_running_cases() -> None:
    output = python(
        f"""{PATCH}
{RUN}
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.run import Run

log, within, closed = [], threading.Semaphore(0), threading.Event()

def task(input, hooks):
    within.release()
    log.append(hooks.cancel_event.wait(10))

async def async_task(input, hooks):
    within.release()
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        log.append("cancelled")
        raise

for each in (task, async_task):
    closed.clear()
    executor = LocalExecutor(CaseRunner(Evaluator("e", each).plan, Parameters()))
    run = Run(executor, [{{"input": 1}}], max_concurrency=2)
    run.when_closed(closed.set)
    events = iter(run)
    next(events)
    assert within.acquire(timeout=10)
    events.close()
    assert closed.wait(10)
print(log)
"""
    )

    assert output == "[True, 'cancelled']\n"


FORK = """
def forked(function):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            print(json.dumps(function()), flush=True)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"
"""


def test_the_engine_works_in_a_child_that_was_forked_after_it_was_used() -> None:
    show = "print(json.dumps(trial()), flush=True)"
    output = python("\n".join([RUN, FORK, show, "forked(trial)", "forked(trial)", show]))

    assert [json.loads(line) for line in output.splitlines()] == [OUTCOMES] * 4


def test_the_engine_works_in_a_child_that_patches_after_the_fork() -> None:
    # What gunicorn's gevent worker does with --preload, where the application is used at import.
    child = (
        "def child():\n    from gevent import monkey\n    monkey.patch_all()\n    return trial()\n"
    )
    output = python(f"{IMPORT_BEFORE}{RUN}{FORK}{child}\ntrial()\nforked(child)")

    assert json.loads(output) == OUTCOMES


def test_an_async_task_is_waited_for_though_gevent_has_no_timer_of_its_own() -> None:
    output = python(
        """
        from gevent import monkey
        monkey.patch_all()
        from flask_braintrust_evals import Evaluator

        async def task(input):
            return input

        print(len(Evaluator("e", task).run([{"input": n} for n in range(20)]).results))
        """
    )
    assert output == "20\n"

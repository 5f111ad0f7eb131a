"""Plain tasks that run an event loop, many at a time, in greenlets of one thread."""

from __future__ import annotations

import asyncio
import json

import pytest

from flask_braintrust_evals import Evaluator
from tests.support import python

pytestmark = pytest.mark.slow

SETUP = """
from gevent import monkey
monkey.patch_all()
import asyncio, gc, threading, time
import anyio, nest_asyncio
from asgiref.sync import async_to_sync
from concurrent.futures import ThreadPoolExecutor
from flask_braintrust_evals import Evaluator

# All are at the same place at the same time, so that each loop runs while all others do.
gate, waiting = threading.Event(), []

async def answer(input):
    waiting.append(input)
    if len(waiting) == CASES:
        gate.set()
    while not gate.is_set():
        await asyncio.sleep(0.001)
    value = await asyncio.to_thread(lambda: input)
    time.sleep(0.001)  # switches greenlets in the middle of a coroutine
    assert asyncio.get_running_loop() is asyncio.get_event_loop()
    return value

def left_open():  # of the loops that nobody has any more
    for _ in range(3):
        gc.collect()
        time.sleep(0.001)  # the threads of the loops' executors end
    loops = [each for each in gc.get_objects() if type(each) is asyncio.SelectorEventLoop]
    return [each for each in loops if not each.is_closed()]

def check(task):
    result = Evaluator("e", task).run(
        [{"input": n} for n in range(CASES)], max_concurrency=CASES, timeout=20
    )
    print(result.summary.cases, result.summary.failed, result.failures[:1], left_open())
    assert [each.output for each in result.results] == [*range(CASES)]
"""

TASKS = {
    "asyncio.run": "asyncio.run(answer(input))",
    "anyio.run": "anyio.run(answer, input)",
    "async_to_sync": "async_to_sync(answer)(input)",
    "run_until_complete of a new loop": "in_new_loop(answer(input))",
    "run_until_complete of the current loop": "in_current_loop(answer(input))",
    "a portal of anyio": "by_portal(input)",
    "an asynchronous generator": "asyncio.run(by_generator(input))",
    "asyncio.run in a pool": "in_pool(input)",
    "nest_asyncio": "nested(input)",
}

WAYS = """
def in_new_loop(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()

def in_current_loop(coroutine):  # as run_sync() of agent libraries do
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    return loop.run_until_complete(coroutine)

def by_portal(input):
    with anyio.from_thread.start_blocking_portal() as portal:
        return portal.call(answer, input)

async def steps():
    for step in range(5):
        yield step

async def by_generator(input):
    taken = []
    async for step in steps():  # other loops end meanwhile
        await asyncio.sleep(0.001 * (input % 5))
        taken.append(step)
    assert len(taken) == 5
    return input

def in_pool(input):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, answer(input)).result()

def nested(input):
    nest_asyncio.apply()
    async def outer():
        return asyncio.get_event_loop().run_until_complete(answer(input))
    return asyncio.run(outer())
"""


EACH_IN_A_FORK = """
import json, os, sys

for name, task in TASKS.items():
    print(json.dumps(name), end=" ", flush=True)
    child = os.fork()
    if not child:
        try:
            check(task)
        except BaseException as error:
            print(repr(error))
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module", params=["before", "after"])
def printed(request: pytest.FixtureRequest) -> dict[str, str]:
    """What each task prints, where asyncio is imported before or after gevent's patch.

    The interpreter imports everything once; each task then runs in a fork of its own.
    """
    is_before = request.param == "before"  # as gunicorn does
    first = "import asyncio" if is_before else ""
    tasks = ", ".join(f"{name!r}: lambda input: {call}" for name, call in TASKS.items())
    script = f"{first}\nCASES = 25\n{SETUP}\n{WAYS}\nTASKS = {{{tasks}}}\n{EACH_IN_A_FORK}"
    lines = python(script, seconds=120, fresh=is_before).splitlines()
    decoder = json.JSONDecoder()
    return {name: line[end:].strip() for line in lines for name, end in [decoder.raw_decode(line)]}


@pytest.mark.parametrize("name", TASKS)
def test_plain_tasks_may_run_event_loops_many_at_a_time(name: str, printed: dict[str, str]) -> None:
    assert printed[name] == "25 0 [] []"


def test_beside_coroutine_tasks_and_scorers_and_afterwards_nothing_is_traced() -> None:
    script = f"""CASES = 10
{SETUP}
import greenlet

def scorer(output):
    return asyncio.run(asyncio.sleep(0.001, 1))

async def coroutine_scorer(output):  # waits as libraries do whose plain functions call coroutines
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, asyncio.sleep(0.001, 1)).result(5)

result = Evaluator("e", lambda input: asyncio.run(answer(input)), scores=[scorer, coroutine_scorer])
result = result.run([{{"input": n}} for n in range(CASES)], max_concurrency=CASES, timeout=20)
print(result.summary.failed, result.summary.scorer_errors)
print({{name: score.count for name, score in result.scores.items()}}, greenlet.gettrace())
"""
    assert python(script) == "0 {}\n{'scorer': 10, 'coroutine_scorer': 10} None\n"


def test_a_trace_function_of_the_applications_is_called_too_and_comes_back() -> None:
    script = f"""CASES = 5
{SETUP}
import greenlet
calls = []
before = lambda event, arguments: calls.append(event)
greenlet.settrace(before)
check(lambda input: asyncio.run(answer(input)))
print(len(calls) > 10, greenlet.gettrace() is before)
greenlet.settrace(None)
"""
    assert python(script) == "5 0 [] []\nTrue True\n"


REFUSING = """
from gevent import monkey
monkey.patch_all()
from flask_braintrust_evals import Evaluator

def fail(message):
    raise RuntimeError(message)

async def coroutine(message):
    fail(message)

def messages(task, message, **options):
    (case,) = Evaluator("e", task, **options).run([{"input": message}]).results
    return [case.error.message]
"""


LOOP_ERRORS = (
    "asyncio.run() cannot be called from a running event loop",
    "this event loop is already running.",
    "This event loop is already running",
    "Cannot run the event loop while another loop is running",
    "Already running asyncio in this thread",
    "You cannot use AsyncToSync in the same thread as an async event loop",
)


def test_the_error_of_a_loop_that_cannot_run_in_a_greenlet_says_what_to_write() -> None:
    script = f"""{REFUSING}
for message in {LOOP_ERRORS!r}:
    for options in ({{}}, {{"task_timeout": 20}}):
        print(*messages(fail, message, **options))
    scorer = Evaluator("e", lambda input: 1, scores=[lambda input: fail(input)])
    (case,) = scorer.run([{{"input": message}}]).results
    print(*(each.message for each in case.scorer_errors.values()))
"""
    lines = python(script).splitlines()

    assert len(lines) == 3 * len(LOOP_ERRORS)
    for index, line in enumerate(lines):
        message = LOOP_ERRORS[index // 3]
        assert line.startswith(message.rstrip(".") + "; under gevent, ")
        for advice in ("blocking=True", "load(path, blocking=True)", "BRAINTRUST_EVALS_BLOCKING"):
            assert advice in line


def test_other_errors_and_those_that_no_thread_would_mend_stay_as_they_are() -> None:
    running = "asyncio.run() cannot be called from a running event loop"
    script = f"""{REFUSING}
print(messages(fail, "another error"))
print(messages(fail, {running!r}, blocking=True))
print(messages(coroutine, {running!r}))
"""
    assert python(script) == f"['another error']\n['{running}']\n['{running}']\n"


def test_without_gevent_the_error_of_a_loop_stays_as_it_is() -> None:
    async def nested(input: str) -> None:
        inner = asyncio.sleep(0)
        try:
            asyncio.run(inner)
        finally:
            inner.close()

    (result,) = Evaluator("e", lambda input: asyncio.run(nested(input))).run([{"input": 1}]).results
    assert result.error is not None
    assert result.error.message == "asyncio.run() cannot be called from a running event loop"


def test_without_gevent_asyncio_is_not_changed() -> None:
    script = """
    import asyncio
    before = asyncio._set_running_loop, asyncio.events._set_running_loop
    from flask_braintrust_evals import Evaluator
    result = Evaluator("e", lambda input: asyncio.run(asyncio.sleep(0, input))).run([{"input": 1}])
    print(result.results[0].output)
    print((asyncio._set_running_loop, asyncio.events._set_running_loop) == before)
    """
    assert python(script, fresh=True) == "1\nTrue\n"

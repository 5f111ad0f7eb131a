"""Tasks in real threads that start programs, in a process that gevent has patched."""

from __future__ import annotations

import json
import signal

import pytest

from flask_braintrust_evals.concurrency.processes.forks import FORK, POOL, PTY
from tests.support import python

pytestmark = pytest.mark.slow

CASES = 4
TASKS = f"""
from gevent import monkey
monkey.patch_all()
import asyncio, json, os, subprocess
from contextlib import ExitStack
from flask_braintrust_evals import Evaluator

SLOW = ["sleep", "60"]

def run(n):
    done = subprocess.run(["cat"], input=f"{{n}}", capture_output=True, text=True, check=True)
    return done.stdout

def wait_without_pipes(n):
    return subprocess.Popen(["sh", "-c", f"exit {{n}}"]).wait()

def spawn(n):
    return os.spawnlp(os.P_WAIT, "sh", "sh", "-c", f"exit {{n}}")

def posix_spawn(n):
    child = os.posix_spawnp("sh", ["sh", "-c", f"exit {{n}}"], os.environ)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def poll(n):
    child = subprocess.Popen(["sh", "-c", f"exit {{n}}"])
    while child.poll() is None:
        pass
    return child.returncode

def time_out(n):
    try:
        subprocess.run(SLOW, timeout=0.05)
    except subprocess.TimeoutExpired as error:
        return type(error).__name__

def end(n):
    child = subprocess.Popen(SLOW)
    child.terminate()
    return child.wait()

def no_such_program(n):
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError as error:
        return error.filename

async def exec_and_communicate(n):
    child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    return (await child.communicate(f"{{n}}".encode()))[0].decode()

async def exec_and_wait(n):
    child = await asyncio.create_subprocess_shell(f"exit {{n}}")
    return await child.wait()

async def exec_and_time_out(n):
    child = await asyncio.create_subprocess_exec(*SLOW)
    try:
        await asyncio.wait_for(child.wait(), 0.05)
    except asyncio.TimeoutError:
        child.kill()
        return await child.wait()

COROUTINES = [exec_and_communicate, exec_and_wait, exec_and_time_out]
FUNCTIONS = [run, wait_without_pipes, spawn, posix_spawn, poll, time_out, end, no_such_program]

def evaluators():
    for function in FUNCTIONS:
        async def on_the_loop(n, function=function):
            return function(n)
        async def beside_the_loop(n, function=function):
            return await asyncio.to_thread(function, n)
        yield Evaluator(f"{{function.__name__}}, plain", function)
        yield Evaluator(f"{{function.__name__}}, blocking", function, blocking=True)
        yield Evaluator(f"{{function.__name__}}, async", on_the_loop)
        yield Evaluator(f"{{function.__name__}}, to_thread", beside_the_loop)
    for coroutine in COROUTINES:
        yield Evaluator(f"{{coroutine.__name__}}, async", coroutine)
        def in_thread(n, coroutine=coroutine):
            return asyncio.run(coroutine(n))
        yield Evaluator(f"{{coroutine.__name__}}, blocking", in_thread, blocking=True)

inputs = [{{"input": n}} for n in range({CASES})]
for each in evaluators():
    result = each.run(inputs, scope=ExitStack, max_concurrency=3, timeout=30)
    print(json.dumps([each.name, [one.error or one.output for one in result.results]]))
children = ["ps", "-o", "args=", "--ppid", str(os.getpid())]
lines = subprocess.run(children, capture_output=True, text=True).stdout.splitlines()
print(json.dumps(["left", [line for line in lines if "ps -o" not in line]]))
"""


@pytest.fixture(scope="module")
def outputs() -> dict[str, list[object]]:
    return dict(json.loads(line) for line in python(TASKS, seconds=120).splitlines())


@pytest.mark.parametrize("way", ["plain", "blocking", "async", "to_thread"])
def test_functions_start_programs_on_whatever_thread_they_run(
    way: str, outputs: dict[str, list[object]]
) -> None:
    texts = [str(n) for n in range(CASES)]
    assert outputs[f"run, {way}"] == texts
    for name in ("wait_without_pipes", "spawn", "posix_spawn", "poll"):
        assert outputs[f"{name}, {way}"] == [*range(CASES)], name
    assert outputs[f"time_out, {way}"] == ["TimeoutExpired"] * CASES
    assert outputs[f"end, {way}"] == [-signal.SIGTERM] * CASES
    assert outputs[f"no_such_program, {way}"] == ["/no/such/program"] * CASES


@pytest.mark.parametrize("way", ["async", "blocking"])
def test_asyncio_starts_programs(way: str, outputs: dict[str, list[object]]) -> None:
    assert outputs[f"exec_and_communicate, {way}"] == [str(n) for n in range(CASES)]
    assert outputs[f"exec_and_wait, {way}"] == [*range(CASES)]
    assert outputs[f"exec_and_time_out, {way}"] == [-signal.SIGKILL] * CASES


def test_no_program_is_left(outputs: dict[str, list[object]]) -> None:
    assert outputs["left"] == []


def test_a_child_that_has_ended_may_still_be_asked_for() -> None:
    # As asyncio does from Python 3.12 on.
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import os, select, subprocess, time
        from flask_braintrust_evals import Evaluator

        def task(n):
            child = subprocess.Popen(["sh", "-c", f"exit {n}"])
            while os.path.exists(f"/proc/{child.pid}"):
                time.sleep(0.001)
            descriptor = os.pidfd_open(child.pid)
            is_ended = select.select([descriptor], [], [], 10)[0] == [descriptor]
            os.close(descriptor)
            return [is_ended, os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])]

        def nobody(n):
            os.pidfd_open(999_999_999)

        for each in (task, nobody):
            result = Evaluator("e", each, blocking=True).run([{"input": n} for n in range(20)])
            print([one.error.type if one.error else one.output for one in result.results])
    """)
    assert printed.splitlines() == [
        str([[True, n] for n in range(20)]),
        str(["ProcessLookupError"] * 20),
    ]


def test_a_child_runs_nothing_of_python() -> None:
    # What OpenTelemetry's SDK does after a fork has the child go on with its parent's greenlets.
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import os, subprocess, time
        from contextlib import ExitStack
        from flask_braintrust_evals import Evaluator

        os.register_at_fork(after_in_child=lambda: (print("forked", flush=True), time.sleep(0.01)))

        def task(n):
            first = subprocess.Popen(["sh", "-c", f"sleep 0.05; echo {n}"], stdout=subprocess.PIPE)
            options = {"stdin": first.stdout, "stdout": subprocess.PIPE, "cwd": "/"}
            return int(subprocess.run(["cat"], **options).stdout)

        async def on_the_loop(n):
            return task(n)

        cases = [{"input": n} for n in range(4)]
        for each, blocking in ((task, False), (task, True), (on_the_loop, False)):
            result = Evaluator("e", each, blocking=blocking).run(cases, scope=ExitStack)
            print([one.error or one.output for one in result.results])
        subprocess.run(["true"], preexec_fn=int)
    """)
    assert printed.splitlines() == [*["[0, 1, 2, 3]"] * 3, "forked"]


def test_what_is_closed_before_a_program_starts_is_not_open_afterwards() -> None:
    # gevent closes when its loop comes round, which may be when the program has ended, and the
    # program may wait for that.
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import os, subprocess, time
        from flask_braintrust_evals.concurrency.processes import child_processes

        child_processes.prepare()
        time.sleep(0.001)
        read, write = os.pipe()
        os.close(write)
        subprocess.Popen(["true"])
        print(os.path.exists(f"/proc/self/fd/{write}"))
    """)
    assert printed == "False\n"


def test_programs_start_with_the_popen_of_python_3_10() -> None:
    # It finds what forks in C by another name, which gevent takes away, too.
    printed = python("""
        import inspect, os, subprocess, textwrap
        import _posixsubprocess

        source = textwrap.dedent(inspect.getsource(subprocess.Popen._execute_child))
        names = {}
        exec(source.replace("_fork_exec(", "_posixsubprocess.fork_exec("), vars(subprocess), names)
        subprocess.Popen._execute_child = names["_execute_child"]
        subprocess._posixsubprocess = _posixsubprocess
        vars(subprocess).pop("_fork_exec", None)

        from gevent import monkey
        monkey.patch_all()
        from flask_braintrust_evals.concurrency.processes import child_processes

        os.register_at_fork(after_in_child=lambda: print("forked", flush=True))
        child_processes.prepare()
        print(subprocess.check_output(["echo", "written"], text=True))
    """)
    assert printed.split() == ["written"]


def test_many_threads_may_close_what_they_have_opened() -> None:
    # Descriptors have the lowest free number, which another thread has just closed.
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import os, time
        from flask_braintrust_evals import Evaluator

        def task(n):
            for _ in range(300):
                time.sleep(0)  # by gevent's loop of this thread
                for each in os.pipe():
                    os.close(each)

        result = Evaluator("e", task, blocking=True).run([{"input": n} for n in range(20)])
        print({one.error for one in result.results})
    """)
    assert printed == "{None}\n"


def test_forks_and_pools_of_processes_fail_before_they_stop_the_process() -> None:
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import multiprocessing, os, pty
        from concurrent.futures import ProcessPoolExecutor
        from contextlib import ExitStack
        from multiprocessing.pool import ThreadPool
        from flask_braintrust_evals import Evaluator

        spawn = multiprocessing.get_context("spawn")

        def fork():
            if not os.fork():
                os._exit(0)

        def terminal():
            child, descriptor = pty.fork()
            if not child:
                os.execvp("true", ["true"])
            os.close(descriptor)
            return os.waitpid(child, 0)[1]

        def process():
            multiprocessing.Process(target=int).start()

        def executor():
            with ProcessPoolExecutor(1) as pool:
                pool.submit(int)

        def pool():
            multiprocessing.Pool(1)

        def spawned_pool():
            spawn.Pool(1)

        def threads():
            with ThreadPool(1) as pool:
                return pool.map(int, [3])

        def spawned_executor():
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                return pool.submit(int, 3).result()

        def results(function):
            async def on_the_loop(n):
                return function()

            plain = lambda n: function()
            for task, blocking in ((plain, False), (plain, True), (on_the_loop, False)):
                evaluator = Evaluator("e", task, blocking=blocking)
                result = evaluator.run([{"input": 1}], scope=ExitStack, timeout=20).results[0]
                yield str(result.error or result.output)

        list(results(process))
        before = os.listdir("/proc/self/fd")
        list(results(process))
        print("as before" if os.listdir("/proc/self/fd") == before else "descriptors are left")
        for function in (fork, process, executor, pool, spawned_pool, threads, spawned_executor):
            print(*results(function), sep="\\n")
        print(*results(terminal), sep="\\n")
        elsewhere = multiprocessing.Process(target=int)
        elsewhere.start()
        elsewhere.join()
        print(elsewhere.exitcode)
    """)
    descriptors, *lines = printed.splitlines()
    assert descriptors == "as before"
    assert lines[:9] == [f"RuntimeError: {FORK}"] * 9
    assert lines[9:15] == [f"RuntimeError: {POOL}"] * 6
    assert lines[15:21] == ["[3]"] * 3 + ["3"] * 3
    assert lines[21:] == ["0"] + [f"RuntimeError: {PTY}"] * 2 + ["0"]

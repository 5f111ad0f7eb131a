"""The executor with real threads."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import Any

import pytest

from flask_braintrust_evals.concurrency import native_threads
from flask_braintrust_evals.concurrency.native_threads import (
    CallState,
    NativeCall,
    NativeThreads,
)
from flask_braintrust_evals.concurrency.processes import child_processes
from tests.support import PATIENCE, Counter, eventually, happens, python


def test_results_and_failures_come_back() -> None:
    pool = NativeThreads(2)
    assert pool.submit(divmod, 7, 2).result(PATIENCE) == (3, 1)
    assert pool.submit(sorted, [2, 1], reverse=False).result(PATIENCE) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(PATIENCE)
    with pytest.raises(SystemExit):
        pool.submit(lambda: (_ for _ in ()).throw(SystemExit)).result(PATIENCE)
    assert list(pool.map(str, range(20))) == [str(n) for n in range(20)]


def test_functions_are_traced_and_profiled_as_in_other_threads() -> None:
    traced: set[str] = set()
    profiled: set[str] = set()
    before = threading.gettrace(), threading.getprofile()
    threading.settrace(lambda frame, event, arg: traced.add(frame.f_code.co_name))
    threading.setprofile(lambda frame, event, arg: profiled.add(frame.f_code.co_name))

    def work() -> None:
        pass

    try:
        NativeThreads(1).submit(work).result(PATIENCE)
    finally:
        threading.settrace(before[0])
        threading.setprofile(before[1])
    assert "work" in traced & profiled


def test_at_most_as_many_run_at_a_time_as_allowed() -> None:
    pool, running, go = NativeThreads(3), Counter(), threading.Event()

    def work() -> None:
        running.add()
        happens(go)
        running.add(-1)

    futures = [pool.submit(work) for _ in range(10)]
    assert running.reaches(3)
    go.set()
    assert not wait(futures, PATIENCE).not_done
    assert running.peak == 3


def test_work_that_waits_can_be_cancelled() -> None:
    pool, go = NativeThreads(1), threading.Event()
    first = pool.submit(happens, go)
    second: Future[Any] = pool.submit(lambda: None)
    assert second.cancel()
    go.set()
    first.result(PATIENCE)
    assert pool.submit(lambda: 5).result(PATIENCE) == 5


def test_idle_threads_end_and_later_work_starts_others() -> None:
    pool = NativeThreads(2, idle_seconds=0.01)
    first = pool.submit(threading.get_ident).result(PATIENCE)
    eventually(lambda: pool.thread_count == 0)
    assert isinstance(first, int)
    assert pool.submit(lambda: 5).result(PATIENCE) == 5


def test_work_that_comes_while_an_idle_thread_ends_is_done_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ending, go = threading.Event(), threading.Event()

    def held() -> None:
        # A thread calls this once it has decided to end, and before it has ended.
        ending.set()
        go.wait()

    pool = NativeThreads(1, idle_seconds=0.01)
    assert pool.submit(lambda: 5).result(PATIENCE) == 5
    monkeypatch.setattr(child_processes, "leave_thread", held)
    happens(ending)
    try:
        assert pool.submit(lambda: 6).result(PATIENCE) == 6
    finally:
        go.set()


def test_a_system_without_threads_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(work: Any) -> None:
        raise RuntimeError("can't start new thread")

    pool = NativeThreads(2)
    monkeypatch.setattr(native_threads, "start_real_thread", refuse)
    with pytest.raises(RuntimeError):
        pool.submit(lambda: 5)
    monkeypatch.undo()
    assert pool.submit(lambda: 5).result(PATIENCE) == 5


class Calls:
    """Calls that say when they begin, and go on until they are let go."""

    def __init__(self, pool: NativeThreads) -> None:
        self._pool = pool
        self.made: list[str] = []
        self.running = Counter()
        self.let_go = threading.Event()

    def start(self, name: str, owner: object = None) -> NativeCall:
        def work() -> None:
            self.made.append(name)
            self.running.add()
            happens(self.let_go)
            self.running.add(-1)

        call = NativeCall(work, owner)
        self._pool.start(call)
        return call


def test_owners_take_turns() -> None:
    calls = Calls(NativeThreads(1))
    first = calls.start("first")
    assert calls.running.reaches(1)
    for number in range(3):
        calls.start(f"a{number}", "a")
    for number in range(2):
        calls.start(f"b{number}", "b")
    last = calls.start("c0", "c")
    calls.let_go.set()
    eventually(lambda: len(calls.made) == 7)
    assert calls.made == ["first", "a0", "b0", "c0", "a1", "b1", "a2"]
    eventually(lambda: {first.state, last.state} == {CallState.DONE})


def test_a_call_that_is_cancelled_before_it_begins_is_never_made() -> None:
    pool = NativeThreads(1)
    calls = Calls(pool)
    running = calls.start("running")
    assert calls.running.reaches(1)
    waiting = [calls.start(f"{number}", number % 2) for number in range(4)]
    assert [pool.cancel(call) for call in waiting] == [True] * 4
    assert [pool.cancel(call) for call in (waiting[0], running)] == [False, False]
    calls.let_go.set()
    assert pool.submit(lambda: 5).result(PATIENCE) == 5
    assert calls.made == ["running"]
    assert waiting[0].state is CallState.CANCELLED


def test_a_thread_of_a_call_that_was_given_up_does_not_count_up_to_a_limit() -> None:
    pool = NativeThreads(2)
    calls = Calls(pool)
    hanging = [calls.start("hangs") for _ in range(2)]
    assert calls.running.reaches(2)
    waiting: Future[int] = pool.submit(lambda: 5)
    assert [pool.give_up(call) for call in hanging] == [True, True]
    assert [pool.give_up(call) for call in hanging] == [True, True]  # again
    assert waiting.result(PATIENCE) == 5
    assert pool.given_up == 2
    more = [calls.start("hangs, too") for _ in range(2)]
    assert calls.running.reaches(4)
    # There are as many threads of this kind as are allowed.
    assert [pool.give_up(call) for call in more] == [False, False]
    stuck: Future[int] = pool.submit(lambda: 6)
    assert pool.thread_count == 4
    calls.let_go.set()
    assert stuck.result(PATIENCE) == 6
    eventually(lambda: pool.given_up == 0)
    assert hanging[0].state is CallState.DONE
    # No thread is left over, and none is missing.
    again = Calls(pool)
    for number in range(3):
        again.start(f"{number}")
    assert again.running.reaches(2)
    again.let_go.set()
    eventually(lambda: len(again.made) == 3)
    assert again.running.peak == 2


def test_a_call_beyond_the_limit_is_given_up_when_another_one_ends() -> None:
    pool = NativeThreads(1)
    first, second, third = Calls(pool), Calls(pool), Calls(pool)
    hanging = []
    for calls in (first, second):
        hanging.append(calls.start("hangs"))
        assert calls.running.reaches(1)
        pool.give_up(hanging[-1])
    waiting: Future[int] = pool.submit(lambda: 5)
    assert (pool.given_up, pool.all_hang) == (1, True)
    first.let_go.set()
    assert waiting.result(PATIENCE) == 5
    assert (pool.given_up, pool.all_hang) == (1, False)
    assert hanging[1].state is CallState.GIVEN_UP
    # One that ends by itself meanwhile takes no place of the next ones.
    hanging.append(third.start("hangs"))
    assert third.running.reaches(1)
    assert not pool.give_up(hanging[2])
    third.let_go.set()
    assert pool.submit(lambda: 6).result(PATIENCE) == 6
    second.let_go.set()
    eventually(lambda: pool.given_up == 0)
    assert hanging[2].state is CallState.DONE
    assert pool.submit(lambda: 7).result(PATIENCE) == 7
    eventually(lambda: pool.thread_count <= 1)


def test_a_call_that_has_not_begun_or_has_ended_cannot_be_given_up() -> None:
    pool = NativeThreads(1)
    calls = Calls(pool)
    first, second = calls.start("first"), calls.start("second")
    assert not pool.give_up(second)
    calls.let_go.set()
    eventually(lambda: second.state is CallState.DONE)
    assert not pool.give_up(first)
    assert pool.given_up == 0


def test_a_call_that_raises_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    pool = NativeThreads(1)
    pool.start(NativeCall(lambda: 1 // 0))  # type: ignore[arg-type]
    assert pool.submit(lambda: 5).result(PATIENCE) == 5
    assert "a call in a real thread failed" in caplog.text


@pytest.mark.slow
def test_under_gevent_functions_do_not_block_greenlets() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import gevent, time
    from flask_braintrust_evals.concurrency.native_threads import NativeThreads
    from flask_braintrust_evals.concurrency.gevent_patch import real_thread_id

    def block():
        # A lock that is not gevent's stops the thread, and this thread alone.
        monkey.get_original("time", "sleep")(0.3)
        return real_thread_id()

    pool, ticks = NativeThreads(5), []
    futures = [pool.submit(block) for _ in range(5)]
    while not all(future.done() for future in futures):
        ticks.append(gevent.sleep(0.001))
    ids = {future.result() for future in futures}
    print(len(ids), real_thread_id() in ids, len(ticks) > 3)
    """
    assert python(script) == "5 False True\n"


@pytest.mark.slow
def test_a_forked_child_has_threads_of_its_own() -> None:
    script = """
    import os
    from flask_braintrust_evals.concurrency.native_threads import blocking_threads
    assert blocking_threads().submit(divmod, 7, 2).result(10) == (3, 1)
    child = os.fork()
    if child == 0:
        try:
            is_right = blocking_threads().submit(divmod, 7, 2).result(10) == (3, 1)
        except TimeoutError:
            is_right = False
        os._exit(0 if is_right else 1)
    print(os.waitpid(child, 0)[1])
    """
    assert python(script) == "0\n"


def test_under_gevent_a_lock_that_an_idle_thread_has_released_is_handed_on() -> None:
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import faulthandler, threading, time
        from flask_braintrust_evals.concurrency.gevent_patch import original
        from flask_braintrust_evals.concurrency.native_threads import NativeThreads

        faulthandler.dump_traceback_later(15, exit=True)
        block, lock, done = original("time", "sleep"), threading.Lock(), []
        threads = NativeThreads(2)

        def hold(name, waits):
            if waits:
                time.sleep(0.001)  # which has its thread have a hub
            with lock:
                block(0.1)
                done.append(name)

        calls = [threads.submit(hold, "first", True)]
        time.sleep(0.03)
        calls.append(threads.submit(hold, "second", False))  # waits by the hub of the first one
        time.sleep(0.03)
        with lock:
            done.append("greenlet")
        while not all(call.done() for call in calls):
            time.sleep(0.001)
        print(sorted(done))
    """)
    assert printed == "['first', 'greenlet', 'second']\n"


def test_under_gevent_a_lock_is_handed_on_by_a_thread_that_ends() -> None:
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import faulthandler, threading, time
        from flask_braintrust_evals.concurrency.gevent_patch import original
        from flask_braintrust_evals.concurrency.real_threads import start_real_thread

        faulthandler.dump_traceback_later(15, exit=True)
        block, lock = original("time", "sleep"), threading.Lock()

        def hold():
            time.sleep(0.001)  # which has its thread have a hub
            with lock:
                block(0.1)

        start_real_thread(hold)
        while not lock.locked():
            time.sleep(0.001)
        with lock:
            print("greenlet")
    """)
    assert printed == "greenlet\n"


def test_under_gevent_what_a_call_leaves_in_a_thread_ends_no_thread() -> None:
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import faulthandler, gevent, sys, time
        from flask_braintrust_evals.concurrency.native_threads import NativeThreads

        faulthandler.dump_traceback_later(15, exit=True)
        threads = NativeThreads(1)

        def result(function):
            call = threads.submit(function)
            while not call.done():
                time.sleep(0.001)
            return call.result()

        def leave():
            gevent.spawn(sys.exit, 3)

        result(leave)
        time.sleep(0.2)
        print(result(lambda: 5), threads.thread_count)
    """)
    assert printed == "5 1\n"

"""The executor with real threads."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import Any

import pytest

from flask_braintrust_evals.concurrency import native_threads
from flask_braintrust_evals.concurrency.native_threads import NativeThreads
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

    def held() -> bool:
        # A thread asks this once it has decided to end, and before it has ended.
        ending.set()
        go.wait()
        return False

    pool = NativeThreads(1, idle_seconds=0.01)
    assert pool.submit(lambda: 5).result(PATIENCE) == 5
    monkeypatch.setattr(native_threads, "is_patched", held)
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
        monkey.get_original("time", "sleep")(0.05)
        return real_thread_id()

    pool, ticks = NativeThreads(5), []
    futures = [pool.submit(block) for _ in range(5)]
    while not all(future.done() for future in futures):
        ticks.append(gevent.sleep(0.001))
    ids = {future.result() for future in futures}
    print(len(ids), real_thread_id() in ids, len(ticks) > 3)
    """
    assert python(script) == "5 False True\n"

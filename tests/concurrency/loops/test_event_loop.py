"""The event loop of the process: blocked by a coroutine, broken, or not to be had."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.loops import event_loop, loop_thread, loop_watch
from flask_braintrust_evals.concurrency.loops.event_loop import background_loop
from flask_braintrust_evals.concurrency.loops.loop_health import LoopHealth, loop_health
from flask_braintrust_evals.concurrency.loops.loop_thread import (
    MAX_GIVEN_UP,
    BackgroundLoop,
    LoopError,
)
from tests.support import PATIENCE, eventually, happens, in_time, python


@pytest.fixture(autouse=True)
def a_loop_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other tests do not get the loops that are blocked here."""
    monkeypatch.setattr(event_loop, "_current", None)
    monkeypatch.setattr(event_loop, "_given_up", [])
    yield


def quickly(monkeypatch: pytest.MonkeyPatch, blocked: float = 0.1, given_up: float = 60.0) -> None:
    monkeypatch.setattr(loop_watch, "INTERVAL", 0.02)
    monkeypatch.setattr(loop_watch, "BLOCKED_AFTER", blocked)
    monkeypatch.setattr(loop_watch, "GIVE_UP_AFTER", given_up)


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def run(awaitable: Any, name: str = "good") -> Any:
    return in_time(lambda: background_loop().run(awaitable, Cancellation(), name=name))


def start(awaitable: Any, name: str) -> Job[Any]:
    job: Job[Any] = Job()
    background_loop().start(awaitable, Cancellation(), job, name)
    return job


class Block:
    """A coroutine that blocks its loop until it is let go.

    Args:
        goes_on: it then awaits something until it may end, and whatever cancels it.
    """

    def __init__(self, goes_on: bool = False) -> None:
        self.within = threading.Event()
        self.let_go = threading.Event()
        self.may_end = threading.Event()
        self._goes_on = goes_on

    async def __call__(self) -> str:
        self.within.set()
        self.let_go.wait(PATIENCE)
        while self._goes_on and not self.may_end.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        return "done"


def test_a_coroutine_that_blocks_is_reported_once_with_its_place_and_its_evaluator(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quickly(monkeypatch)
    block = Block()
    waiting = start(asyncio.sleep(0.01), "victim")
    waiting.wait()
    blocked = start(block(), "bad")
    happens(block.within)
    waiting = start(answer(), "victim")
    eventually(lambda: "has been blocked" in caplog.text)
    time.sleep(0.2)
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    text = record.getMessage()
    assert re.match(
        r"the event loop has been blocked for \d s by a coroutine of evaluator 'bad',", text
    )
    assert "self.let_go.wait(PATIENCE)" in str(record.stack_info)
    assert loop_health().blocked_for >= 0.1
    assert loop_health().given_up == 0
    block.let_go.set()
    assert waiting.wait() == 42
    assert blocked.wait() == "done"
    eventually(lambda: "the event loop goes on" in caplog.text)
    eventually(lambda: loop_health() == LoopHealth())


def test_a_loop_that_stays_blocked_is_replaced_and_its_coroutines_fail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quickly(monkeypatch, given_up=0.3)
    block = Block()
    first = background_loop()
    blocked = start(block(), "bad")
    happens(block.within)
    victim = start(answer(), "victim")
    for job in (blocked, victim):
        with pytest.raises(LoopError, match=r"blocked for \d s by a coroutine of evaluator 'bad'"):
            in_time(job.wait)
    eventually(lambda: loop_health() == LoopHealth(0.0, 1))
    assert background_loop() is not first
    assert run(answer()) == 42
    # The old one ends when it goes on, and nothing is left of it.
    block.let_go.set()
    eventually(lambda: loop_health() == LoopHealth())
    eventually(first._loop.is_closed)
    assert run(answer()) == 42


def test_a_coroutine_that_is_started_while_its_loop_is_given_up_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    block = Block()
    loop = background_loop()
    blocked = start(block(), "bad")
    happens(block.within)
    check = loop._check

    def check_and_give_up() -> None:
        check()
        loop.give_up("blocked")

    monkeypatch.setattr(loop, "_check", check_and_give_up)
    for job in (start(answer(), "late"), blocked):
        with pytest.raises(LoopError, match="blocked"):
            in_time(job.wait)
    block.let_go.set()
    assert run(answer()) == 42


def test_there_are_no_more_blocked_loops_than_a_few(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quickly(monkeypatch, given_up=0.2)
    blocks = [Block() for _ in range(MAX_GIVEN_UP + 1)]
    for block in blocks:
        job = start(block(), "bad")
        with pytest.raises(LoopError):
            in_time(job.wait)
    assert f"{MAX_GIVEN_UP} loops are blocked, and no other is made" in caplog.text
    assert loop_health().given_up == MAX_GIVEN_UP
    assert loop_health().blocked_for > 0
    with pytest.raises(LoopError, match="cannot be replaced while .*; restart the server"):
        run(answer())
    for block in blocks:
        block.let_go.set()
    eventually(lambda: loop_health() == LoopHealth())
    assert run(answer()) == 42


def blocked_loops(monkeypatch: pytest.MonkeyPatch, goes_on: bool = False) -> list[Block]:
    """As many as are replaced, and the one that is not."""
    quickly(monkeypatch, given_up=0.2)
    blocks = [Block(goes_on) for _ in range(MAX_GIVEN_UP + 1)]
    for block in blocks:
        with pytest.raises(LoopError):
            in_time(start(block(), "bad").wait)
    assert loop_health().given_up == MAX_GIVEN_UP
    return blocks


@pytest.mark.parametrize("goes_on", [False, True])
def test_the_last_loop_is_replaced_as_soon_as_another_one_goes_on(
    monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    blocks = blocked_loops(monkeypatch, goes_on)
    last = background_loop()
    blocks[0].let_go.set()
    eventually(lambda: background_loop() is not last)
    assert run(answer()) == 42
    assert loop_health() == LoopHealth(0.0, MAX_GIVEN_UP)
    for block in blocks:
        block.let_go.set()
    eventually(lambda: loop_health() == LoopHealth())
    for block in blocks:
        block.may_end.set()
    eventually(lambda: not event_loop._given_up)
    eventually(lambda: loop_health() == LoopHealth())


def test_a_loop_that_was_not_replaced_is_used_again_once_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = blocked_loops(monkeypatch)
    last = background_loop()
    # The loop's thread ends no sooner than this.
    monkeypatch.setattr(loop_watch, "INTERVAL", 60)
    blocks[-1].let_go.set()
    eventually(lambda: not loop_health().blocked_for)
    assert run(answer()) == 42
    assert background_loop() is last
    # It may be given up again, and replaced.
    monkeypatch.setattr(loop_watch, "INTERVAL", 0.02)
    for block in blocks:
        block.let_go.set()


def test_an_idle_process_asks_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    asked = []
    ask = BackgroundLoop.ask

    def counting(loop: BackgroundLoop, answer: Any) -> None:
        asked.append(answer)
        ask(loop, answer)

    monkeypatch.setattr(BackgroundLoop, "ask", counting)
    assert run(asyncio.sleep(0.1, 1)) == 1
    assert asked
    loop = background_loop()
    eventually(lambda: not loop._watch._is_watching)
    count = len(asked)
    time.sleep(0.1)
    assert len(asked) == count
    assert run(asyncio.sleep(0.1, 2)) == 2
    assert len(asked) > count


def test_a_loop_that_cannot_be_made_is_an_error_and_made_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refusing:
        def __init__(self) -> None:
            raise OSError(24, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(loop_thread, "ThreadLoop", Refusing)
        for _ in range(2):
            with pytest.raises(
                LoopError, match=r"could not be made: OSError: .*Too many open files"
            ):
                run(answer())
    assert run(answer()) == 42


def test_a_loop_that_fails_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    def fail(timeout: float | None = None) -> Any:
        raise OSError(9, "Bad file descriptor")

    async def break_it() -> None:
        asyncio.get_running_loop()._selector.select = fail  # type: ignore[attr-defined]
        await asyncio.sleep(600)

    with pytest.raises(LoopError, match="the event loop failed: OSError"):
        run(break_it())
    assert run(answer()) == 42


@pytest.mark.slow
def test_without_descriptors_there_is_an_error_and_with_them_a_loop_again() -> None:
    script = """
    import os, resource
    from flask_braintrust_evals import Evaluator

    async def task(input):
        return input

    def outcome():
        (result,) = Evaluator("e", task).run([{"input": 1}], timeout=10).results
        return result.output, result.error and result.error.type

    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    import flask_braintrust_evals.engine.running.local_run
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    without = outcome()
    for descriptor in held:
        os.close(descriptor)
    print(without, outcome())
    """
    assert python(script) == "(None, 'LoopError') (1, None)\n"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["time.sleep(3)", "monkey.get_original('time', 'sleep')(3)"])
def test_under_gevent_a_blocked_loop_is_found_and_replaced(how: str) -> None:
    script = f"""
    from gevent import monkey
    monkey.patch_all()
    import gevent, logging, threading, time
    logging.basicConfig(format="%(message)s", handlers=[handler := logging.StreamHandler()])
    lines = []
    handler.emit = lambda record: lines.append(handler.format(record))
    from flask_braintrust_evals import Evaluator
    from flask_braintrust_evals.concurrency.loops import loop_watch
    from flask_braintrust_evals.concurrency.loops.loop_health import loop_health
    loop_watch.INTERVAL, loop_watch.BLOCKED_AFTER, loop_watch.GIVE_UP_AFTER = 0.05, 0.2, 0.5

    within = []

    async def bad(input):
        within.append(input)
        {how}

    async def good(input):
        return input

    def run(task):
        (result,) = Evaluator(task.__name__, task).run([{{"input": 1}}]).results
        return result.output, result.error and result.error.type

    run(good)
    blocked = gevent.spawn(run, bad)
    while not within:
        gevent.sleep(0.01)
    victim = gevent.spawn(run, good)
    print(blocked.get(), victim.get(), run(good), loop_health().given_up)
    print("evaluator 'bad'" in lines[0], "in bad" in lines[0])
    while loop_health().given_up:
        gevent.sleep(0.05)
    print(run(good))
    """
    assert python(script) == (
        "(None, 'LoopError') (None, 'LoopError') (1, None) 1\nTrue True\n(1, None)\n"
    )


@pytest.mark.slow
def test_the_thread_of_the_loop_ends_before_the_interpreter_does() -> None:
    """Python would end the thread wherever it is; within a switch of greenlets, that crashes."""
    script = """
        import atexit, sys, threading, time
        from gevent import monkey
        monkey.patch_all()

        def report():  # registered first, and so called last
            deadline = time.monotonic() + 5
            while loop._thread in sys._current_frames() and time.monotonic() < deadline:
                time.sleep(0.001)
            print(loop._thread in sys._current_frames())

        atexit.register(report)
        import asyncio
        from flask_braintrust_evals.concurrency.cancellation import Cancellation
        from flask_braintrust_evals.concurrency.loops.event_loop import background_loop
        from flask_braintrust_evals.concurrency.job import Job
        loop = background_loop()
        loop.start(asyncio.sleep(60), Cancellation(), Job())  # still under way at the end
        print(loop.run(asyncio.sleep(0, "done"), Cancellation()))
    """
    printed = python(script, fresh=True)
    assert printed == "done\nFalse\n"


@pytest.mark.slow
def test_many_threads_may_ask_for_the_loop_while_it_is_made() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import time, gevent
    from flask_braintrust_evals.concurrency.loops import event_loop
    from flask_braintrust_evals.concurrency.cancellation import Cancellation
    from flask_braintrust_evals.concurrency.real_threads import start_real_thread
    from flask_braintrust_evals.concurrency.job import Job

    async def answer():
        return 42

    gevent.sleep(0)  # as in a server: this thread has its hub already

    def ask(job):
        event_loop.background_loop().start(answer(), Cancellation(), job)

    for _ in range(40):
        loop = event_loop._current
        event_loop._forget()
        if loop is not None:
            loop.end()
        jobs = [Job() for _ in range(6)]
        for job in jobs:
            start_real_thread(lambda job=job: ask(job))
        for job in jobs:
            assert job.wait(time.monotonic() + 10) == 42
    print("all answered")
    """
    assert python(script) == "all answered\n"


@pytest.mark.slow
def test_under_gevent_a_loop_knows_a_socket_by_itself_and_by_its_descriptor() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import selectors, socket
    from flask_braintrust_evals.concurrency.loops.hub_selector import HubSelector

    ours, theirs = socket.socketpair()
    selector = HubSelector()
    key = selector.register(ours, selectors.EVENT_READ, "data")
    theirs.send(b"x")
    # Since Python 3.13, asyncio looks up what add_reader() gets in this map.
    print(selector.get_map().get(ours) == selector.get_map().get(ours.fileno()) == key)
    print(selector.select(1) == [(key, selectors.EVENT_READ)])
    ours.close()
    print(selector.unregister(ours) == key, not selector.get_map())
    try:
        selector.register(key.fd, selectors.EVENT_READ)
    except OSError:  # it is closed; a later socket may have the same descriptor
        print(not selector.get_map())
    selector.close()
    """
    assert python(script).split() == ["True"] * 5


def test_a_call_is_no_longer_under_way_when_its_result_is_there() -> None:
    loop = background_loop()
    busy: list[bool] = []

    class Noting(Job[Any]):
        def _finish(self, result: Any, error: BaseException | None) -> None:
            busy.append(loop.is_busy)
            super()._finish(result, error)

    async def fail() -> None:
        raise ValueError

    async def cancel() -> None:
        raise asyncio.CancelledError

    for awaitable in (answer(), fail(), cancel()):
        job = Noting()
        loop.start(awaitable, Cancellation(), job)
        in_time(job.wait_until_done)
    assert busy == [False] * 3


def test_a_coroutine_that_user_code_cancels_before_it_begins_is_cancelled() -> None:
    may_end = threading.Event()

    async def hold() -> None:
        may_end.wait(PATIENCE)

    async def cancel_others() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    held = start(hold(), "holds")
    # The loop begins these in one turn, the first of them first.
    start(cancel_others(), "cancels")
    jobs = [start(answer(), "cancelled") for _ in range(3)]
    may_end.set()
    in_time(held.wait)
    for job in jobs:
        with pytest.raises(asyncio.CancelledError):
            in_time(job.wait)
    assert not background_loop().is_busy

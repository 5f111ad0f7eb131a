"""Greenlets that wait for their turn: each test in a process of its own, which gevent patches."""

from __future__ import annotations

import textwrap
import threading

import pytest

from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from tests.support import python

pytestmark = pytest.mark.slow

PATCHED = """
from gevent import monkey
monkey.patch_all()
import os, time, gevent, gevent.socket
from flask_braintrust_evals.concurrency.turns import SLICE, Turn, TurnWait, wait_for_turn

def work(seconds=0.001):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass

def fill_the_slice():
    wait_for_turn(Turn.CONTINUE)
    work(1.5 * SLICE)
"""


def patched(script: str) -> str:
    return PATCHED + textwrap.dedent(script)


def test_other_greenlets_run_while_hundreds_of_cases_are_ready() -> None:
    script = """
    worked = []

    def ours():
        for _ in range(3):
            wait_for_turn(Turn.CONTINUE)
            work(SLICE / 5)
            worked.append(1)
            gevent.sleep(0)

    crowd = [gevent.spawn(ours) for _ in range(200)]
    most = 0
    while len(worked) < 600:
        before = len(worked)
        gevent.sleep(0)
        most = max(most, len(worked) - before)
    # What the slice had left, and one more slice; in one queue with ours it would be all 200.
    print(most <= 12)
    """
    assert python(patched(script)) == "True\n"


def test_timers_and_sockets_are_looked_at_after_each_slice() -> None:
    script = """
    passed = 0

    def ours():
        global passed
        while True:
            work(SLICE / 5)
            wait_for_turn(Turn.CONTINUE)
            passed += 1

    gevent.spawn(ours)
    most = []
    left, right = gevent.socket.socketpair()
    for _ in range(20):
        before = passed
        gevent.sleep(0.001)
        left.send(b"x")
        right.recv(1)
        most.append(passed - before)
    # Two slices of five each for both; without looking in between, it would be hundreds.
    print(sorted(most)[10] <= 20)
    """
    assert python(patched(script)) == "True\n"


def test_finishing_precedes_starting() -> None:
    script = """
    order = []

    def one(turn):
        wait_for_turn(turn)
        order.append(turn.name)

    gevent.spawn(fill_the_slice)
    for turn in (*reversed(Turn), *reversed(Turn)):
        gevent.spawn(one, turn)
    gevent.sleep(0)
    while len(order) < 8:
        gevent.sleep(0)
    print(*order)
    """
    assert python(patched(script)) == (
        "FIRST_RESULT FIRST_RESULT CONTINUE CONTINUE CONSUME CONSUME BEGIN BEGIN\n"
    )


def test_a_greenlet_that_waits_is_moved_to_an_earlier_turn_and_goes_on_once() -> None:
    script = """
    order, wait = [], TurnWait()

    def one(name, *args):
        wait_for_turn(*args)
        order.append(name)
        work(1.5 * SLICE)
        gevent.get_hub().wait(gevent.get_hub().loop.timer(0.2))  # nothing else may make it go on
        order.append(name)

    gevent.spawn(fill_the_slice)
    all_of_them = [
        gevent.spawn(one, "case", Turn.CONTINUE),
        gevent.spawn(one, "stream", Turn.CONSUME, wait),
    ]
    gevent.sleep(0)
    wait.move_to(Turn.FIRST_RESULT)
    gevent.joinall(all_of_them, timeout=10)
    wait.move_to(Turn.FIRST_RESULT)  # it waits no more
    fill_the_slice()
    wait_for_turn(Turn.BEGIN)
    print(*order)
    """
    assert python(patched(script)) == "stream case stream case\n"


def test_a_run_that_is_always_busy_does_not_keep_others_from_starting() -> None:
    script = """
    begun = []

    def busy():
        until = time.monotonic() + 5
        while not begun and time.monotonic() < until:
            work(SLICE / 5)
            wait_for_turn(Turn.CONTINUE)

    def start():
        work(1.5 * SLICE)
        wait_for_turn(Turn.BEGIN)
        begun.append(1)

    crowd = [gevent.spawn(busy) for _ in range(10)]
    gevent.sleep(0.05)
    since = time.monotonic()
    gevent.spawn(start)
    gevent.joinall(crowd)
    print(time.monotonic() - since < 3)
    """
    assert python(patched(script)) == "True\n"


def test_a_greenlet_that_is_killed_while_it_waits_blocks_no_other() -> None:
    script = """
    order = []

    def one(name):
        wait_for_turn(Turn.CONTINUE)
        order.append(name)
        work(1.5 * SLICE)  # the next one waits for another slice

    gevent.spawn(fill_the_slice)
    first, second, third = (gevent.spawn(one, n) for n in ("first", "second", "third"))
    gevent.spawn(lambda: second.kill(block=False))
    gevent.joinall([first, second, third], timeout=10)
    print(*order)
    """
    assert python(patched(script)) == "first third\n"


def test_a_forked_child_has_queues_of_its_own() -> None:
    script = """
    fill_the_slice()
    gevent.spawn(wait_for_turn, Turn.CONTINUE)
    child = os.fork()
    if not child:
        for _ in range(3):
            fill_the_slice()
            gevent.sleep(0)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert python(patched(script)) == "7\n"


def test_without_gevent_no_thread_waits() -> None:
    done = threading.Event()

    def work() -> None:
        wait_for_turn(Turn.BEGIN)
        done.set()

    threading.Thread(target=work, daemon=True).start()

    assert done.wait(10)

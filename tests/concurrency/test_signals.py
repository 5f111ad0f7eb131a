"""Signals between threads and, each test in a process of its own, between greenlets."""

from __future__ import annotations

import threading
import time

import pytest

from flask_braintrust_evals.concurrency.signals import ThreadSignal, new_signal
from tests.support import PATIENCE, in_time, python

PATCHED = """
from gevent import monkey
monkey.patch_all()
import threading, time, gevent
from flask_braintrust_evals.concurrency.real_threads import start_real_thread
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.concurrency.signals import GreenletSignal, new_signal

real_sleep = monkey.get_original("time", "sleep")
"""


def test_a_signal_wakes_the_thread_that_waits_for_it() -> None:
    signal = new_signal()
    assert isinstance(signal, ThreadSignal)
    threading.Timer(0.01, signal.set).start()

    assert in_time(lambda: signal.wait(PATIENCE))


def test_a_signal_that_was_set_before_is_not_waited_for() -> None:
    signal = new_signal()
    signal.set()
    signal.set()

    assert in_time(signal.wait)
    assert in_time(signal.wait)


def test_a_wait_ends_at_its_time_and_may_be_repeated() -> None:
    signal = new_signal()

    began = time.monotonic()
    assert not signal.wait(0.02)
    assert time.monotonic() - began >= 0.02
    signal.set()
    assert in_time(signal.wait)


@pytest.mark.slow
def test_greenlets_are_woken_by_other_threads_whenever_they_come() -> None:
    """No wake is lost: also one that comes as the last waiting greenlet goes, or the next comes."""
    script = (
        PATCHED
        + """
rounds, jobs, done = 300, [], []

def work():
    # Without a pause, with a short one, and with one that lets the greenlet wait first.
    for number in range(rounds * 20):
        while len(jobs) <= number:
            real_sleep(0.0001)
        if number % 3:
            real_sleep(0.00002 * (number % 3))
        jobs[number].succeed(number)

def wait(number):
    done.append(jobs[number].wait(time.monotonic() + 20) == number)

start_real_thread(work)
for number in range(rounds):
    new = range(len(jobs), len(jobs) + 20)
    jobs += [Job() for _ in new]
    gevent.joinall([gevent.spawn(wait, each) for each in new], raise_error=True)
print(len(done), all(done))
"""
    )
    assert python(script) == "6000 True\n"


@pytest.mark.slow
def test_a_hub_that_has_nothing_but_a_signal_to_wait_for_is_no_deadlock() -> None:
    script = (
        PATCHED
        + """
signal = new_signal()
assert isinstance(signal, GreenletSignal)

def work():
    real_sleep(0.05)
    signal.set()

start_real_thread(work)
print(signal.wait())
"""
    )
    assert python(script) == "True\n"


@pytest.mark.slow
def test_a_hub_whose_signals_are_all_set_has_nothing_more_to_wait_for() -> None:
    script = (
        PATCHED
        + """
signal = new_signal()
gevent.spawn(signal.set)
assert signal.wait()
print(gevent.get_hub().join(timeout=10))
"""
    )
    assert python(script) == "True\n"


@pytest.mark.slow
def test_a_greenlet_that_left_its_wait_is_not_woken_from_another_one() -> None:
    script = (
        PATCHED
        + """
left = new_signal()
assert not left.wait(0.01)
try:
    with gevent.Timeout(0.01):
        left.wait()
except gevent.Timeout:
    pass
later = new_signal()
gevent.spawn_later(0.01, left.set)
print(later.wait(0.05), left.wait(1))
"""
    )
    assert python(script) == "False True\n"


@pytest.mark.slow
def test_what_a_job_was_posted_is_received_before_its_end() -> None:
    script = (
        PATCHED
        + """
for number in range(300):
    received = []
    job = Job(received.append)

    def work():
        for each in range(5):
            job.post(each)
        job.succeed("done")

    start_real_thread(work)
    assert job.wait(time.monotonic() + 20) == "done"
    assert received == [0, 1, 2, 3, 4], received
print("all received")
"""
    )
    assert python(script) == "all received\n"

"""What is not left to gevent: each test in a process of its own, which gevent patches."""

from __future__ import annotations

import threading

import pytest

from flask_braintrust_evals.concurrency.gevent_patch import is_patched, new_event, original
from tests.support import python

pytestmark = pytest.mark.slow

CROWD = """
from gevent import monkey
monkey.patch_all()
import time, gevent
from flask_braintrust_evals.concurrency.gevent_patch import is_patched, new_event

assert is_patched()
for number in range(20):
    event, woken = new_event(), []

    def wait():
        while not event.wait(0.002):
            pass
        woken.append(1)

    crowd = [gevent.spawn(wait) for _ in range(40)]
    # Set in the moment in which their time-outs are due.
    gevent.sleep(0.0019)
    due = time.perf_counter() + 0.0015
    while time.perf_counter() < due:
        pass
    event.set()
    gevent.joinall(crowd, timeout=10)
    assert len(woken) == 40, len(woken)
print("all woken")
"""


def test_an_event_wakes_all_waiting_greenlets_though_their_time_outs_are_due() -> None:
    assert python(CROWD) == "all woken\n"


def test_waiting_for_an_event_lets_other_greenlets_run() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from flask_braintrust_evals.concurrency.gevent_patch import new_event

    event = new_event()
    gevent.spawn_later(0.01, event.set)
    print(event.wait(10))
    """
    assert python(script) == "True\n"


def test_what_a_greenlet_raises_is_logged_and_ends_nothing() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import logging, sys, gevent
    from flask_braintrust_evals.concurrency.gevent_patch import spawn

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    names = []

    def work(error):
        names.append(gevent.getcurrent().name)
        raise error

    for error in (SystemExit(3), KeyboardInterrupt("stop"), ValueError("wrong")):
        spawn(lambda error=error: work(error), "eval-7")
        gevent.sleep(0.01)
    print(names)
    """
    logged = python(script)
    assert logged.count("a thread failed\n") == 3
    for failure in ("SystemExit: 3", "KeyboardInterrupt: stop", "ValueError: wrong"):
        assert failure in logged
    assert logged.endswith("['eval-7', 'eval-7', 'eval-7']\n")


@pytest.mark.parametrize(
    "watch",
    [
        "start = Thread.start; Thread.start = lambda self: start(self)",
        "Thread.run = functools.partialmethod(Thread.run)",
        "threading.setprofile(lambda *_: None)",
    ],
)
def test_what_watches_threads_sees_all_that_is_started(watch: str) -> None:
    script = f"""
    from gevent import monkey
    monkey.patch_all()
    import functools, threading, gevent
    from threading import Thread
    from flask_braintrust_evals.concurrency.gevent_patch import spawn

    def work():
        print(threading.current_thread().name)

    spawn(work, "eval-7")
    gevent.sleep(0.01)
    {watch}
    spawn(work, "eval-8")
    gevent.sleep(0.01)
    """
    not_watched, watched = python(script).splitlines()
    assert not_watched.startswith("Dummy-")
    assert watched == "eval-8"


def test_a_real_thread_that_has_waited_leaves_no_descriptors_and_no_hub() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import gc, os, time
    from gevent.hub import Hub
    from flask_braintrust_evals.concurrency.real_threads import start_real_thread

    def open_files():
        return len(os.listdir("/proc/self/fd"))

    def hubs():
        gc.collect()
        return sum(isinstance(each, Hub) for each in gc.get_objects())

    time.sleep(0.001)  # makes the hub of this thread
    before, ended = open_files(), []
    for _ in range(20):
        start_real_thread(lambda: (time.sleep(0.001), ended.append(True)))
    deadline = time.monotonic() + 10
    while (len(ended) < 20 or open_files() > before) and time.monotonic() < deadline:
        time.sleep(0.01)
    print(len(ended), open_files() - before, hubs())
    """
    assert python(script) == "20 0 1\n"


def test_a_process_does_not_end_while_a_thread_releases_its_hub() -> None:
    """Which crashes where Python ends the thread in the middle of a switch of greenlets."""
    script = """
    from gevent import monkey
    monkey.patch_all()
    import time
    from gevent.hub import Hub
    from flask_braintrust_evals.concurrency.gevent_patch import original
    from flask_braintrust_evals.concurrency.job import Job
    from flask_braintrust_evals.concurrency.real_threads import start_real_thread

    def destroy(hub, destroy_loop=False, real=Hub.destroy):
        original("time", "sleep")(0.3)
        real(hub, destroy_loop)
        print("released")

    Hub.destroy, job = destroy, Job()
    start_real_thread(lambda: job.run(lambda: time.sleep(0.001)))
    job.wait()
    """
    assert python(script, fresh=True) == "released\n"


def test_what_is_interrupted_while_it_sets_an_event_loses_nothing() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from flask_braintrust_evals.concurrency.cancellation import Cancellation
    from flask_braintrust_evals.engine.running.run_users import CONSUMER, RunUsers

    called = []
    cancellation, users = Cancellation(), RunUsers("e", lambda: called.append("closed"))
    cancellation.add(1, lambda: called.append("cancelled"))
    users.when_released(lambda: called.append("released"))
    for event, act in (
        (cancellation.event, cancellation.set),
        (users.no_workers, lambda: users.leave(CONSUMER)),
    ):
        event._cond.acquire()  # as a thread that begins to wait
        gevent.spawn_later(0.05, event._cond.release)
        try:
            with gevent.Timeout(0.01):
                act()
        except gevent.Timeout:
            called.append(event.is_set())
    print(called)
    """
    assert python(script) == "['cancelled', True, 'released', 'closed', True]\n"


def test_without_gevent_events_are_those_of_the_standard_library() -> None:
    assert not is_patched()
    assert type(new_event()) is threading.Event
    assert original("threading", "Event") is threading.Event


def test_a_child_process_does_not_run_the_greenlets_of_its_parent() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import os, subprocess, tempfile, gevent
    from flask_braintrust_evals.tracing.processor import CaseSpanProcessor

    router = CaseSpanProcessor(install=True)
    router.attach()  # a provider for the application
    file = tempfile.TemporaryFile("a+")

    def serve():
        while True:
            file.write(f"{os.getpid()}\\n")
            file.flush()
            gevent.sleep(0.001)

    gevent.spawn(serve)
    for _ in range(5):
        subprocess.run(["true"], check=True)
    file.seek(0)
    print({int(line) for line in file} == {os.getpid()})
    """
    assert python(script) == "True\n"


def test_threads_may_be_the_first_that_wait() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import time
    from flask_braintrust_evals.concurrency.real_threads import start_real_thread
    from flask_braintrust_evals.concurrency.job import Job

    jobs = [Job() for _ in range(4)]
    for job in jobs:
        start_real_thread(lambda job=job: job.run(lambda: time.sleep(0.001)))
    print([job.wait() for job in jobs])
    """
    assert python(script) == "[None, None, None, None]\n"

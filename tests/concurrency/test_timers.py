"""Calls that are made later."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import Any

import pytest

from flask_braintrust_evals.concurrency import timers
from flask_braintrust_evals.concurrency.timers import call_later
from tests.support import eventually, happens, python


def test_calls_are_made_in_the_order_of_their_times_and_never_early() -> None:
    made: list[tuple[str, float]] = []
    done, began = threading.Event(), time.monotonic()

    def later() -> None:
        made.append(("later", time.monotonic()))
        done.set()

    call_later(0.1, later)
    call_later(0.02, lambda: made.append(("sooner", time.monotonic())))
    happens(done)
    assert [name for name, _ in made] == ["sooner", "later"]
    assert made[0][1] >= began + 0.02
    assert made[1][1] >= began + 0.1


def test_a_cancelled_call_is_not_made_and_keeps_nothing() -> None:
    class Run:
        called = False

        def call(self) -> None:
            Run.called = True

    run, done = Run(), threading.Event()
    reference = weakref.ref(run)
    timer = call_later(0.02, run.call)
    timer.cancel()
    timer.cancel()
    del run
    assert reference() is None
    call_later(0.05, done.set)
    happens(done)
    assert not Run.called


def test_many_cancelled_calls_are_forgotten() -> None:
    for _ in range(10 * timers.MAX_CANCELLED):
        call_later(600, lambda: None).cancel()
    assert timers._timers is not None
    assert len(timers._timers._heap) < 5 * timers.MAX_CANCELLED


def test_a_call_that_fails_is_logged_and_hinders_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def fail() -> None:
        raise OSError("gone")

    with caplog.at_level(logging.ERROR):
        call_later(0.01, fail)
        call_later(0.02, done.set)
        happens(done)
    assert "a timer failed" in caplog.text


def test_the_thread_ends_when_there_is_no_call_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> list[str]:
        names = [thread.name for thread in threading.enumerate()]
        return [name for name in names if name == "braintrust-evals-timers"]

    monkeypatch.setattr(timers, "_timers", None)
    monkeypatch.setattr(timers, "IDLE_SECONDS", 0.02)
    before, done = len(threads()), threading.Event()
    call_later(0.01, done.set)
    happens(done)
    eventually(lambda: len(threads()) == before)
    again = threading.Event()
    call_later(0.01, again.set)
    happens(again)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_was_made_to_exit_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise SystemExit  # as gunicorn's handler of SIGABRT does, in whatever thread runs

    monkeypatch.setattr(timers, "_timers", None)
    call_later(0.01, leave)
    assert timers._timers is not None
    eventually(lambda: timers._timers is not None and not timers._timers._has_thread)
    done = threading.Event()
    call_later(0.01, done.set)
    happens(done)


def test_a_system_without_threads_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(work: Any, name: str) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(timers, "_timers", None)
    with monkeypatch.context() as broken:
        broken.setattr(timers, "start_thread", refuse)
        with pytest.raises(RuntimeError):
            call_later(0.01, lambda: None)
    done = threading.Event()
    call_later(0.01, done.set)
    happens(done)


@pytest.mark.slow
def test_a_forked_child_has_timers_of_its_own() -> None:
    script = """
    import os, threading
    from flask_braintrust_evals.concurrency.timers import call_later
    first = threading.Event()
    call_later(0.01, first.set)
    first.wait(10)
    child = os.fork()
    if child == 0:
        done = threading.Event()
        call_later(0.01, done.set)
        os._exit(0 if done.wait(10) else 1)
    print(os.waitpid(child, 0)[1])
    """
    assert python(script) == "0\n"

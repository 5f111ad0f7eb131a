"""Code of blocking evaluators, in threads that all runs share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals.concurrency import native_threads
from flask_braintrust_evals.concurrency.native_threads import NativeThreads
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.user_code import blocking_calls, user_code
from flask_braintrust_evals.engine.values.events import CaseStarted
from tests.engine.support import Closing, consumed, disconnect, echo, inputs, new_run
from tests.support import PATIENCE, Counter, eventually, happens, in_time


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> NativeThreads:
    """Two threads for all blocking evaluators, as if gevent had patched."""
    threads = NativeThreads(2)
    monkeypatch.setattr(native_threads, "_blocking_threads", threads)
    monkeypatch.setattr(user_code, "is_patched", lambda: True)
    return threads


def blocking(task: Callable[..., Any], **options: Any) -> Evaluator:
    return Evaluator("e", task, blocking=True, **options)


def test_work_of_a_client_that_has_left_is_not_begun() -> None:
    running, let_go, closing = Counter(), threading.Event(), Closing()

    def task(input: Any) -> None:
        running.add()
        happens(let_go)

    run = new_run(blocking(task), inputs(*range(50)), max_concurrency=20, when_closed=closing)
    events = iter(run)
    for _ in range(20):
        assert isinstance(in_time(lambda: next(events)), CaseStarted)
    assert running.reaches(2)
    disconnect(events)
    eventually(lambda: run._users.workers == 2)  # of the calls that had begun
    let_go.set()
    happens(closing.happened)
    assert running.value == 2


def test_scorers_of_a_client_that_has_left_are_not_begun() -> None:
    running, let_go, closing = Counter(), threading.Event(), Closing()

    def scorer(output: Any) -> float:
        running.add()
        happens(let_go)
        return 1

    evaluator = blocking(echo, scores=[scorer] * 1, classifiers=[])
    run = new_run(evaluator, inputs(*range(8)), max_concurrency=8, when_closed=closing)
    events = iter(run)
    while not running.reaches(2, 0):
        in_time(lambda: next(events))
    disconnect(events)
    eventually(lambda: run._users.workers <= 2)
    let_go.set()
    happens(closing.happened)
    assert running.value == 2


def test_a_run_does_not_wait_for_all_calls_of_another_one() -> None:
    running, let_go = Counter(), threading.Event()

    def slow(input: Any) -> None:
        running.add()
        happens(let_go)

    many = new_run(blocking(slow), inputs(*range(40)), max_concurrency=40)
    done: list[Any] = []
    consumer = threading.Thread(target=lambda: done.append(list(many)), daemon=True)
    consumer.start()
    assert running.reaches(2)
    before = running.value
    short = threading.Thread(
        target=lambda: done.append(blocking(lambda input: running.value).run(inputs(1))),
        daemon=True,
    )
    short.start()
    eventually(lambda: len(native_threads.blocking_threads()._waiting._items) == 2)
    let_go.set()
    short.join(PATIENCE)
    consumer.join(PATIENCE)
    (result,) = next(each for each in done if not isinstance(each, list)).results
    # Its turn came after one call of the other run for each thread, or a few more.
    assert result.output <= before + 6


def test_calls_whose_time_is_up_do_not_take_the_threads_of_others(
    pool: NativeThreads, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = threading.Event()
    hangs = blocking(lambda input: happens(let_go), task_timeout=0.05)
    failed = in_time(lambda: hangs.run(inputs(1, 2)))
    assert [result.error.type for result in failed.results if result.error] == ["TimeoutError"] * 2
    assert pool.given_up == 2
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert warning.getMessage().startswith(
        "evaluator 'e': a call goes on although its time is up, and keeps its thread; another one"
    )
    assert in_time(lambda: blocking(echo).run(inputs(1, 2, 3))).results[2].output == 3
    # As many again are not replaced, and that is said, too.
    in_time(lambda: hangs.run(inputs(1, 2)))
    assert "and is not replaced" in caplog.text
    let_go.set()
    eventually(lambda: pool.given_up == 0)
    assert in_time(lambda: blocking(echo).run(inputs(1))).results[0].output == 1


def test_a_call_that_waits_for_a_thread_when_its_time_is_up_is_not_made() -> None:
    running, let_go = Counter(), threading.Event()

    def task(input: Any) -> None:
        running.add()
        happens(let_go)

    first = threading.Thread(target=lambda: blocking(task).run(inputs(1, 2)), daemon=True)
    first.start()
    assert running.reaches(2)
    late = in_time(lambda: blocking(task, task_timeout=0.05).run(inputs(3)))
    assert late.results[0].error is not None
    let_go.set()
    first.join(PATIENCE)
    assert running.value == 2


def test_calls_that_go_on_after_their_run_are_given_up(
    pool: NativeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking_calls, "GIVE_UP_AFTER", 0.05)
    let_go, running, closing = threading.Event(), Counter(), Closing()

    def task(input: Any) -> None:
        running.add()
        happens(let_go)

    run = new_run(blocking(task), inputs(1, 2), when_closed=closing)
    events = consumed(run, lambda event: isinstance(event, CaseStarted))
    in_time(lambda: next(events))
    assert running.reaches(2)
    disconnect(events)
    eventually(lambda: pool.given_up == 2)
    assert in_time(lambda: blocking(echo).run(inputs(1))).results[0].output == 1
    let_go.set()
    happens(closing.happened)
    eventually(lambda: pool.given_up == 0)

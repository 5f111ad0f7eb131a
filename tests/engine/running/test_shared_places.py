"""Runs that share places for their cases, and threads that cannot be started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.concurrency.places import PlaceGroup, Places
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running import run_workers
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.running.sources.case_source import CaseSource
from flask_braintrust_evals.engine.values.events import Event, RunFailed, RunFinished
from tests.engine.support import echo, events_of, inputs, new_run, results_of
from tests.support import PATIENCE, Counter, eventually, in_time


class Held:
    """A run whose cases wait until they are let go, read by a thread of its own."""

    def __init__(self, places: Places, cases: int, at_a_time: int) -> None:
        self.inside = Counter()
        self.events: list[Event] = []
        self._may_end = threading.Semaphore(0)
        evaluator = Evaluator("held", self._task)
        self.run: Run = new_run(
            evaluator, inputs(*range(cases)), max_concurrency=at_a_time, places=places
        )
        self._reader = threading.Thread(target=lambda: self.events.extend(self.run), daemon=True)
        self._reader.start()

    def _task(self, input: Any) -> Any:
        self.inside.add()
        assert self._may_end.acquire(timeout=PATIENCE)
        self.inside.add(-1)
        return input

    def let_go(self, cases: int) -> None:
        for _ in range(cases):
            self._may_end.release()

    def finish(self) -> list[Any]:
        self.let_go(1000)
        self._reader.join(PATIENCE)
        assert isinstance(self.events[-1], RunFinished), self.events[-1]
        return [result.output for result in results_of(self.events)]


def test_a_run_that_comes_later_gets_places_as_cases_of_the_first_one_end() -> None:
    places = Places(6)
    first = Held(places, 40, at_a_time=40)
    assert first.inside.reaches(6)
    second = Held(places, 40, at_a_time=40)
    assert second.inside.reaches(1)

    # The second one's first place is above the limit, so that the first of these moves nothing.
    for own, others in ((5, 1), (4, 2), (3, 3), (3, 3)):
        # A run asks for its next place when the last case has started, on a thread of its own.
        eventually(lambda: len(places.refused) == 2)
        first.let_go(1)
        eventually(lambda own=own: first.inside.value == own)  # type: ignore[misc]
        eventually(lambda others=others: second.inside.value == others)  # type: ignore[misc]

    assert first.finish() == list(range(40))
    assert second.inside.reaches(6), "the places of a run that has ended are free"
    assert second.finish() == list(range(40))
    assert places.taken == 0
    assert not places.refused


def test_no_run_waits_for_a_place_for_ever() -> None:
    places = Places(1)
    runs = [Held(places, 5, at_a_time=3) for _ in range(6)]
    for each in runs:
        assert each.inside.reaches(1), "each run goes on, also above the limit"
    assert places.taken == 6
    for each in runs:
        assert each.finish() == list(range(5))
    assert places.taken == 0


def test_many_runs_share_a_few_places_and_lose_no_case() -> None:
    places, peak = Places(5), Counter()

    def task(input: Any) -> Any:
        peak.add()
        peak.add(-1)
        return input

    def drive() -> list[Any]:
        events = list(new_run(evaluator, inputs(*range(60)), max_concurrency=8, places=places))
        assert isinstance(events[-1], RunFinished)
        return [result.output for result in results_of(events)]

    evaluator = Evaluator("e", task)
    outputs: list[list[Any]] = []
    threads = [threading.Thread(target=lambda: outputs.append(drive())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert outputs == [list(range(60))] * 8
    assert peak.peak <= 5 + 8
    assert places.taken == 0


# --- Threads that cannot be started ---


NO_THREAD = RuntimeError("can't start new thread")


@contextmanager
def threads_left(monkeypatch: pytest.MonkeyPatch, count: int, error: Exception = NO_THREAD) -> Any:
    """Let only so many workers be started; the others raise ``error``."""
    left = [None] * count

    def start_if_left(work: Callable[[], None], name: str) -> None:
        if not left:
            raise error
        left.pop()
        start_thread(work, name)

    with monkeypatch.context() as patched:
        patched.setattr(run_workers, "spawn", start_if_left)
        yield


@pytest.mark.parametrize("error", [NO_THREAD, MemoryError("no stack")])
def test_a_run_without_any_thread_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    places = Places(4)
    with threads_left(monkeypatch, 0, error):
        events = events_of(Evaluator("e", echo), inputs(1, 2), places=places)
    (failed,) = events
    assert isinstance(failed, RunFailed)
    assert str(failed.error) == f"no worker could be started: {error}"
    assert places.taken == 0


def test_a_run_goes_on_with_the_threads_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(4)
    with threads_left(monkeypatch, 2):
        events = events_of(
            Evaluator("e", echo), inputs(*range(30)), max_concurrency=8, places=places
        )
    assert [result.output for result in results_of(events)] == list(range(30))
    assert places.taken == 0


def test_a_run_that_loses_its_last_worker_is_never_taken_for_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = new_run(Evaluator("e", echo), inputs(*range(30)), max_concurrency=1)
    given_up, received = Counter(), Counter()
    done = CaseSource.done

    def note(source: CaseSource, *case: int) -> None:
        done(source, *case)
        received.add()

    # As if the place had been handed over and its worker could then not be started. The consumer
    # has received the last case by then, and has no more workers started.
    monkeypatch.setattr(CaseSource, "done", note)
    monkeypatch.setattr(
        PlaceGroup, "give_up", lambda group: given_up.add() == 3 and received.reaches(3)
    )
    with threads_left(monkeypatch, 1):
        events = in_time(lambda: list(run))
    assert len(results_of(events)) == 3
    assert isinstance(events[-1], RunFailed)
    assert str(events[-1].error) == "no worker could be started for the remaining cases"

"""Large cases of a run: only so many run at a time as have room together."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseJob, Emit
from flask_braintrust_evals.engine.running.cases.hooks import EvalHooks
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.running.sources.large_cases import (
    COPIES,
    LARGE,
    ROOM,
    Room,
    size_if_large,
)
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import CaseFinished, Event, RunFailed, TaskFinished
from tests.engine.support import echo, inputs, kinds, new_run, results_of, run_case
from tests.support import PATIENCE, eventually, happens, in_time, waiting_in

TEXT = "x" * LARGE


class Crowd:
    """A task that notes how many run at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self.most = 0

    def __call__(self, input: Any) -> int:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        time.sleep(0.01)
        with self._lock:
            self._running -= 1
        return len(input)


def most_at_a_time(values: list[Any], room: Room | None, **options: Any) -> int:
    crowd = Crowd()
    run = new_run(Evaluator("e", crowd), inputs(*values), max_concurrency=8, room=room, **options)
    events = in_time(lambda: list(run))
    assert len(results_of(events)) == len(values) * options.get("trial_count", 1)
    assert kinds(events)[-1] == "RunFinished"
    return crowd.most


def test_only_so_many_large_cases_run_at_a_time_as_have_room() -> None:
    assert most_at_a_time([TEXT] * 12, Room(int(2.5 * LARGE))) <= 2
    assert most_at_a_time([TEXT], Room(int(2.5 * LARGE)), trial_count=12) <= 2
    assert most_at_a_time([[[] for _ in range(LARGE // 50)]], Room(1), trial_count=5) == 1


def test_one_that_is_larger_than_the_room_runs_alone() -> None:
    assert most_at_a_time([TEXT] * 4, Room(1)) == 1
    assert most_at_a_time(["x" * (LARGE // 6)] * 4, Room(1, recorded=LARGE)) == 1


def test_other_cases_and_runs_are_not_held_up() -> None:
    assert most_at_a_time(["x" * 1000] * 60, Room(1)) > 2
    assert most_at_a_time([TEXT] * 60, None) > 2


@pytest.mark.parametrize(
    ("make", "least", "most"),
    [
        (lambda: EvalCase("small", "small", {"a": [1, {"b": None}]}), 0, 0),
        (lambda: EvalCase("x" * LARGE), LARGE, 1.1 * LARGE),
        (lambda: EvalCase(1, "x" * LARGE), LARGE, 1.1 * LARGE),
        (lambda: EvalCase(1, metadata={"a": {"b": ["x" * LARGE]}}), LARGE, 1.1 * LARGE),
        (lambda: EvalCase(1, id="x" * LARGE), LARGE, 1.1 * LARGE),
        (lambda: EvalCase(1, upsert_id="x" * LARGE), LARGE, 1.1 * LARGE),
        (lambda: EvalCase(1, origin={"id": "x" * LARGE}), LARGE, 1.1 * LARGE),
        (lambda: EvalCase(1, tags=["x" * LARGE]), LARGE, 1.1 * LARGE),
        (lambda: EvalCase("x" * LARGE + "🎈"), 4 * LARGE, 4.1 * LARGE),
        (lambda: EvalCase([[] for _ in range(10_000)]), 600_000, 900_000),
        (lambda: EvalCase({str(number): number for number in range(10_000)}), 600_000, 1_800_000),
        (lambda: EvalCase("x" * 2 * ROOM), ROOM, 2.1 * ROOM),
        (lambda: EvalCase([[[]] * 1000] * 1000), ROOM, 1.1 * ROOM),
    ],
    ids=(
        "small input expected metadata id upsert_id origin tags wide lists names huge too_many"
    ).split(),
)
def test_the_size_is_about_that_in_memory(
    make: Callable[[], EvalCase], least: float, most: float
) -> None:
    assert least <= size_if_large(make()) <= most


@pytest.mark.parametrize(
    ("length", "recorded", "copied"),
    [(LARGE, LARGE, LARGE), (LARGE, 10, 10), (LARGE, 0, 0), (LARGE // 6, LARGE, LARGE // 6)],
)
def test_texts_count_as_often_as_spans_have_them(length: int, recorded: int, copied: int) -> None:
    case = EvalCase("x" * length, [[] for _ in range(10)])
    plain = size_if_large(case, own=LARGE)
    added = size_if_large(case, own=LARGE, recorded=recorded) - plain
    assert added == pytest.approx(COPIES * copied, abs=1000)


def test_a_text_before_many_values_leaves_a_case_as_large_as_it_is() -> None:
    case = EvalCase(["x" * ROOM, [{}] * (ROOM // 80)])
    assert size_if_large(case, recorded=LARGE) >= size_if_large(case) > ROOM


def test_objects_of_the_user_are_not_asked_for_their_size() -> None:
    class Odd(dict[str, Any]):
        def __sizeof__(self) -> int:
            raise AssertionError

        def values(self) -> Any:
            raise AssertionError

    assert size_if_large(EvalCase(Odd(a=1), [Odd(), object()])) == 0


# --- Ends ---


def held_run(task: Callable[..., Any], **options: Any) -> Run:
    """A run of large cases of which only one has room."""
    return new_run(Evaluator("e", task), inputs(*[TEXT] * 4), room=Room(1), **options)


@pytest.mark.parametrize("end", [Run.stop, Run.close], ids=["stop", "close"])
def test_a_run_that_ends_early_does_not_wait_for_room(end: Callable[[Run], None]) -> None:
    started, ended = threading.Event(), threading.Event()

    def task(input: Any, hooks: EvalHooks) -> None:
        started.set()
        happens(hooks.cancel_event)

    run = held_run(task, when_closed=ended.set)
    reading = threading.Thread(target=lambda: list(run))
    reading.start()
    happens(started)
    eventually(lambda: waiting_in(Room.enter, "eval-"))
    end(run)
    happens(ended)
    reading.join(PATIENCE)
    assert not reading.is_alive()


def test_a_case_without_an_end_gives_its_room_back() -> None:
    class Failing:
        def run(self, job: CaseJob, emit: Emit) -> None:
            raise ValueError("no")

        def cancel(self) -> None:
            pass

    run = Run(Failing(), inputs(*[TEXT] * 3), max_concurrency=2, room=Room(1))
    assert isinstance(in_time(lambda: list(run))[-1], RunFailed)


def test_room_is_given_back_when_the_consumer_has_come_back_for_more() -> None:
    running = threading.Semaphore(0)

    def task(input: Any) -> None:
        running.release()

    run = held_run(task)
    batches = run.batches()

    def next_finished() -> None:
        while not any(isinstance(event, CaseFinished) for event in next(batches)):
            pass

    in_time(next_finished)
    assert running.acquire(timeout=PATIENCE)
    assert not running.acquire(timeout=0.1), "the consumer still has the case before"
    in_time(next_finished)
    assert running.acquire(timeout=PATIENCE)
    run.close()


def test_a_run_that_is_over_keeps_nothing_of_its_data() -> None:
    class Value:
        pass

    value = Value()
    known = weakref.ref(value)
    run = new_run(Evaluator("e", echo), [EvalCase(value)])
    del value
    in_time(lambda: [None for _ in run])
    eventually(lambda: known() is None)
    assert run.summary.cases == 1


# --- Outputs that the consumer gets once, as JSON ---


class Output(list[int]):
    """An output that tells whether it is still there."""


def scored(output: Any) -> float:
    return float(output == [1, 2])


@pytest.mark.parametrize("scores", [[], [scored]])
def test_outputs_that_nobody_reads_are_forgotten_before_the_consumer_takes_the_result(
    scores: list[Any],
) -> None:
    made: list[weakref.ref[Output]] = []

    def task(input: Any) -> Output:
        output = Output([1, 2])
        made.append(weakref.ref(output))
        return output

    result, events = run_case(Evaluator("e", task, scores=scores), keeps_outputs=False)
    (answer,) = [each for each in events if isinstance(each, TaskFinished)]
    assert answer.output_data == b"[1,2]"
    assert (result.output, result.output_data, result.error) == (None, None, None)
    assert [score.score for score in result.scores.values()] == [1.0] * len(scores)
    assert made[0]() is None


def test_the_hooks_of_a_task_are_gone_while_its_output_is_scored() -> None:
    made: list[weakref.ref[EvalHooks]] = []

    def task(input: Any, hooks: EvalHooks) -> None:
        made.append(weakref.ref(hooks))

    def gone(output: Any) -> bool:
        return made[0]() is None

    result, _ = run_case(Evaluator("e", task, scores=[gone]))
    assert result.scores["gone"].score == 1


def test_without_scorers_an_output_is_gone_while_its_json_waits_for_the_consumer() -> None:
    made: list[weakref.ref[Output]] = []
    living: list[bool] = []

    def task(input: Any) -> Output:
        output = Output([1, 2])
        made.append(weakref.ref(output))
        return output

    def emit(event: Event) -> None:
        if isinstance(event, TaskFinished):
            living.append(made[0]() is not None)

    plan, parameters = Evaluator("e", task).plan, Evaluator("e", task).parameter_set.validate({})
    for keeps in (True, False):
        made.clear()
        CaseRunner(plan, parameters, keeps_outputs=keeps).run(CaseJob(EvalCase("in"), 0, 0), emit)
    assert living == [True, False]


# --- Failures ---


def fails(output: Output) -> None:
    raise ValueError("no good")


async def fails_later(output: Output) -> None:
    raise ValueError("no good")


@pytest.mark.parametrize("options", [{}, {"task_timeout": 60}, {"blocking": True}])
@pytest.mark.parametrize(
    ("task_fails", "is_async"), [(False, False), (False, True), (True, False), (True, True)]
)
def test_a_failure_keeps_nothing_of_its_case(
    options: dict[str, Any], task_fails: bool, is_async: bool
) -> None:
    made: list[weakref.ref[Output]] = []

    def task(input: Any) -> Any:
        output = Output([1])
        made.append(weakref.ref(output))
        if task_fails:
            raise ValueError("no good")
        return output

    async def later(input: Any) -> Any:
        return task(input)

    scores = [fails, fails_later]
    evaluator = Evaluator(
        "e", later if is_async else task, data=inputs(1, 2), scores=scores, **options
    )
    gc.disable()  # which finds cycles late, and each of them may have a large case
    try:
        result = evaluator.run()
        assert len(result.failures) == 2 * task_fails
        del result
        eventually(lambda: [each() for each in made] == [None, None])
    finally:
        gc.enable()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_task_that_fails_after_its_time_out_keeps_nothing_of_its_case(is_async: bool) -> None:
    made: list[weakref.ref[Output]] = []

    def task(input: Any, hooks: EvalHooks) -> None:
        output = Output([1])
        made.append(weakref.ref(output))
        happens(hooks.cancel_event)
        raise ValueError(output)

    async def later(input: Any) -> None:
        output = Output([1])
        made.append(weakref.ref(output))
        await asyncio.sleep(PATIENCE)

    evaluator = Evaluator("e", later if is_async else task, data=inputs(1), task_timeout=0.05)
    gc.disable()
    try:
        evaluator.run()
        eventually(lambda: [each() for each in made] == [None])
    finally:
        gc.enable()

"""A run: which cases, how many at a time, and in what order its events come."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter as Multiset
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.channel import Channel
from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running import run_workers
from flask_braintrust_evals.engine.running.event_flow import MAX_WAITING_EVENTS
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    RunFailed,
    RunFinished,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.summary import cases_text
from flask_braintrust_evals.errors import CloudTimeoutError, DataError
from tests.engine.support import by_case, echo, events_of, inputs, kinds, new_run, results_of
from tests.support import PATIENCE, Counter, eventually, happens, in_time, python, waiting_in

# Order


def chatty(input: Any, hooks: Any) -> Any:
    hooks.report_progress({"data": "1"})
    hooks.report_progress({"data": "2"})
    return input


async def chatty_async(input: Any, hooks: Any) -> Any:
    hooks.report_progress({"data": "1"})
    await asyncio.sleep(0)
    hooks.report_progress({"data": "2"})
    return input


@pytest.mark.parametrize("task", [chatty, chatty_async])
@pytest.mark.parametrize("limit", [1, 8])
def test_events_of_each_case_come_in_order_and_that_of_the_run_last(
    task: Callable[..., Any], limit: int
) -> None:
    events = events_of(
        Evaluator("e", task, scores=[lambda output: 1]), inputs(*range(20)), max_concurrency=limit
    )

    cases = by_case(events)
    assert len(cases) == 20
    for number, own in cases.items():
        assert kinds(own) == [
            "CaseStarted",
            "CaseProgress",
            "CaseProgress",
            "TaskFinished",
            "CaseFinished",
        ]
        finished, last = own[-2:]
        assert isinstance(finished, TaskFinished) and isinstance(last, CaseFinished)
        assert (finished.output_data, last.result.output) == (b"%d" % number, number)
    assert kinds(events).count("RunFinished") == 1
    assert isinstance(events[-1], RunFinished)
    assert events[-1].summary.cases == 20


def test_a_cases_output_is_emitted_before_its_scorers_are_done() -> None:
    received = threading.Event()

    def scorer(output: Any) -> bool:
        return received.wait(PATIENCE)

    def consume() -> list[Any]:
        scores = []
        for event in new_run(Evaluator("e", echo, scores=[scorer]), inputs(1)):
            if isinstance(event, TaskFinished):
                received.set()
            scores += [result.scores["scorer"].score for result in results_of([event])]
        return scores

    assert in_time(consume) == [1.0]


def test_every_case_and_trial_has_an_id_of_its_own() -> None:
    events = events_of(Evaluator("e", echo), inputs(*range(20)), trial_count=5)

    ids = [event.ref.id for event in events if isinstance(event, CaseStarted)]
    assert len(set(ids)) == 100
    assert all(len(id) == 16 and int(id, 16) for id in ids)


# Concurrency


@pytest.mark.parametrize("limit", [2, 5])
def test_as_many_cases_run_at_a_time_as_may_and_no_more(limit: int) -> None:
    barrier, running = threading.Barrier(limit), Counter()

    def task(input: Any) -> Any:
        running.add()
        barrier.wait(PATIENCE)
        running.add(-1)
        return input

    events = events_of(Evaluator("e", task), inputs(*range(limit * 4)), max_concurrency=limit)

    assert [result.error for result in results_of(events)] == [None] * limit * 4
    assert running.peak == limit


def test_as_many_async_cases_run_at_a_time_as_may_and_no_more() -> None:
    running, full = Counter(), threading.Event()

    async def task(input: Any) -> Any:
        if running.add() == 5:
            full.set()
        reached = await asyncio.to_thread(full.wait, PATIENCE)
        running.add(-1)
        return reached

    events = events_of(Evaluator("e", task), inputs(*range(15)), max_concurrency=5)

    assert [result.output for result in results_of(events)] == [True] * 15
    assert running.peak == 5


def test_cases_run_one_at_a_time_where_that_is_asked_for() -> None:
    running = Counter()

    def task(input: Any) -> Any:
        running.add()
        running.add(-1)

    events = events_of(Evaluator("e", task), inputs(*range(50)), max_concurrency=1)

    assert running.peak == 1
    started = [event.ref.index for event in events if isinstance(event, CaseStarted)]
    assert started == list(range(50))


def test_a_slow_case_does_not_block_the_others() -> None:
    others_done = threading.Event()

    def task(input: Any) -> Any:
        return others_done.wait(PATIENCE) if input == 0 else True

    def consume() -> list[int]:
        order = []
        for event in new_run(Evaluator("e", task), inputs(*range(10)), max_concurrency=2):
            order += [result.ref.index for result in results_of([event])]
            if len(order) == 9:
                others_done.set()
        return order

    assert in_time(consume) == [*range(1, 10), 0]


# The source


class Source:
    """Cases that count how many of them were asked for."""

    def __init__(self, cases: Iterable[Any]) -> None:
        self._cases = iter(cases)
        self.asked = Counter()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.asked.add()
        return next(self._cases)


@pytest.mark.parametrize("limit", [1, 10])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_first_case_starts_before_the_second_is_there(limit: int, is_async: bool) -> None:
    first_started = threading.Event()

    def task(input: Any) -> Any:
        first_started.set()
        return input

    async def async_task(input: Any) -> Any:
        return task(input)

    def cases() -> Iterator[Any]:
        yield {"input": "first"}
        yield {"input": first_started.wait(PATIENCE)}

    events = events_of(
        Evaluator("e", async_task if is_async else task), cases(), max_concurrency=limit
    )

    assert [result.output for result in results_of(events)] == ["first", True]


def test_the_first_result_is_emitted_before_the_second_case_is_there() -> None:
    first_emitted = threading.Event()

    def cases() -> Iterator[Any]:
        yield {"input": "first"}
        yield {"input": first_emitted.wait(PATIENCE)}

    def consume() -> list[Any]:
        outputs = []
        for event in new_run(Evaluator("e", echo), cases()):
            outputs += [result.output for result in results_of([event])]
            if outputs:
                first_emitted.set()
        return outputs

    assert in_time(consume) == ["first", True]


def test_cases_begin_as_fast_as_the_consumer_reads() -> None:
    begun, let_go = Counter(), threading.Event()

    def task(input: Any) -> None:
        begun.add()
        happens(let_go)

    run = new_run(Evaluator("e", task), inputs(*range(20)), max_concurrency=8)
    batches, received = run.batches(), 0
    while received < 8:
        batch = in_time(lambda: next(batches))
        assert {type(event) for event in batch} == {CaseStarted}
        received += len(batch)
        assert begun.reaches(received)
        assert begun.value <= min(8, 1 + 2 * received)
    let_go.set()
    in_time(lambda: list(batches))
    assert run.summary.cases == 20


@pytest.mark.parametrize("make", [list, iter], ids=["list", "iterator"])
def test_no_worker_starts_that_finds_no_case(
    make: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Counter()

    def start(work: Callable[[], None], name: str) -> None:
        started.add()
        start_thread(work, name)

    monkeypatch.setattr(run_workers, "spawn", start)
    all_run = threading.Barrier(5)
    evaluator = Evaluator("e", lambda input: all_run.wait(PATIENCE) >= 0)
    events = events_of(evaluator, make(inputs(*range(5))), max_concurrency=100)
    assert [result.output for result in results_of(events)] == [True] * 5
    assert started.value == 5


@pytest.mark.parametrize("limit", [1, 4, 16])
def test_the_source_is_read_no_further_than_events_may_wait(limit: int) -> None:
    source = Source(inputs(*range(300)))
    run = new_run(Evaluator("e", echo), source, max_concurrency=limit)

    def consume() -> int:
        finished = ahead = 0
        for event in run:
            ahead = max(ahead, source.asked.value - finished)
            finished += isinstance(event, CaseFinished)
        return ahead

    assert in_time(consume) <= limit + MAX_WAITING_EVENTS
    assert source.asked.value == 301  # the last time for the end


def test_a_run_whose_data_comes_slowly_holds_few_places() -> None:
    places, comes, taken = Places(20), threading.Semaphore(0), list[int]()

    def slowly() -> Iterator[Any]:
        for index in range(15):
            assert comes.acquire(timeout=PATIENCE)
            yield {"input": index}

    def task(input: Any) -> None:
        # Two workers wait for the next case, if there is one.
        eventually(lambda: input == 14 or places.taken == 3)

    run = new_run(Evaluator("e", task), slowly(), max_concurrency=20, places=places)
    comes.release()
    count = 0
    for event in itertools.chain.from_iterable(run.batches()):
        if isinstance(event, CaseFinished):
            assert event.result.error is None
            eventually(lambda: places.taken <= 2)
            taken.append(places.taken)
            comes.release()
            count += 1
    assert count == 15
    assert max(taken) <= 2


@pytest.mark.parametrize("limit", [1, 1000])
def test_workers_wait_for_a_consumer_that_stops(limit: int) -> None:
    source, done = Source(inputs(*range(100))), Counter()
    run = new_run(Evaluator("e", lambda input: done.add()), source, max_concurrency=limit)
    batches = run.batches()
    received = len(next(batches))

    # Each case has three events: those that were received, those that wait in the channel, and
    # one that waits for space in it.
    emitted = received + MAX_WAITING_EVENTS + 1
    assert done.reaches(emitted // 3 - 1)
    eventually(lambda: waiting_in(Channel.put, "eval-"))
    assert source.asked.value < emitted // 3 + 3

    events = (event for batch in batches for event in batch)
    in_time(lambda: list(events))
    assert run.summary.cases == 100


def test_workers_whose_cases_end_at_the_same_time_do_not_wait_for_the_consumer() -> None:
    begun, may_end = Counter(), threading.Event()

    def task(input: Any) -> None:
        begun.add()
        happens(may_end)

    run = new_run(Evaluator("e", task), inputs(*range(40)), max_concurrency=40)
    batches = run.batches()
    while begun.value < 40:
        next(batches)
    may_end.set()
    eventually(lambda: not run._users.workers)
    run.close()


def test_tasks_that_report_progress_wait_for_a_consumer_that_stops() -> None:
    reported = Counter()

    def task(input: Any, hooks: Any) -> None:
        for number in range(3 * MAX_WAITING_EVENTS):
            hooks.report_progress({"data": str(number)})
            reported.add()

    run = new_run(Evaluator("e", task), inputs(1), max_concurrency=1)
    batches = run.batches()
    events = next(batches)

    # Those that were received, except CaseStarted, and those that wait in the channel.
    emitted = len(events) - 1 + MAX_WAITING_EVENTS
    assert reported.reaches(emitted)
    eventually(lambda: waiting_in(Channel.put, "eval-"))
    assert reported.value == emitted
    events += in_time(lambda: [event for batch in batches for event in batch])
    assert kinds(events).count("CaseProgress") == 3 * MAX_WAITING_EVENTS


def test_a_run_may_have_no_cases() -> None:
    nothing: list[Any] = []
    for empty in (nothing, iter(nothing), (case for case in nothing)):
        events = events_of(Evaluator("e", echo), empty)

        assert kinds(events) == ["RunFinished"]
        assert isinstance(events[0], RunFinished) and events[0].summary.cases == 0


@pytest.mark.parametrize("limit", [1, 4, 100])
@pytest.mark.parametrize(
    "make", [list, iter, lambda cases: (c for c in cases)], ids=["list", "iterator", "generator"]
)
def test_every_case_is_run_once(limit: int, make: Callable[[Any], Any]) -> None:
    ran: list[Any] = []

    events = events_of(Evaluator("e", ran.append), make(inputs(*range(60))), max_concurrency=limit)

    assert Multiset(ran) == Multiset(range(60))
    assert [result.ref.index for result in results_of(events)] == list(range(60))


# Trials


@pytest.mark.parametrize("limit", [1, 4])
def test_each_case_is_run_as_often_as_its_trials_say(limit: int) -> None:
    cases = [EvalCase("a"), EvalCase("b", trial_count=1), {"input": "c", "trial_count": 5}]

    events = events_of(
        Evaluator("e", lambda input, hooks: (input, hooks.trial_index)),
        cases,
        trial_count=2,
        max_concurrency=limit,
    )

    assert [result.output for result in results_of(events)] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        *[("c", number) for number in range(5)],
    ]
    assert [(r.ref.index, r.ref.trial_index) for r in results_of(events)] == [
        (0, 0),
        (0, 1),
        (1, 0),
        *[(2, number) for number in range(5)],
    ]


def test_trials_of_one_case_run_at_the_same_time() -> None:
    barrier = threading.Barrier(4)

    events = events_of(
        Evaluator("e", lambda input: barrier.wait(PATIENCE)), inputs(1), trial_count=4
    )

    assert [result.error for result in results_of(events)] == [None] * 4


# Sources that fail


def failing_after(number: int, error: BaseException) -> Iterator[Any]:
    yield from inputs(*range(number))
    raise error


@pytest.mark.parametrize("number", [0, 1, 5])
@pytest.mark.parametrize("limit", [1, 4])
@pytest.mark.parametrize(
    ("error", "text"),
    [(OSError("gone"), "OSError: gone"), (SystemExit(3), "SystemExit: 3")],
    ids=["OSError", "SystemExit"],
)
def test_a_source_that_fails_fails_the_run_after_the_cases_it_gave(
    number: int, limit: int, error: BaseException, text: str
) -> None:
    events = events_of(Evaluator("e", echo), failing_after(number, error), max_concurrency=limit)

    assert [result.output for result in results_of(events)] == list(range(number))
    last = events[-1]
    assert isinstance(last, RunFailed)
    assert isinstance(last.error, DataError)
    assert str(last.error) == f"the data could not be read after {cases_text(number)}: {text}"
    assert last.summary.cases == number


def test_a_case_that_runs_while_the_source_fails_is_finished() -> None:
    source_failed = threading.Event()

    def cases() -> Iterator[Any]:
        yield {"input": 1}
        source_failed.set()
        raise OSError("gone")

    evaluator = Evaluator("e", lambda input: source_failed.wait(PATIENCE))
    events = events_of(evaluator, cases())

    assert kinds(events) == ["CaseStarted", "TaskFinished", "CaseFinished", "RunFailed"]
    assert [result.output for result in results_of(events)] == [True]


def test_a_failure_of_braintrust_stays_what_it_is() -> None:
    error = CloudTimeoutError("Braintrust did not answer")

    events = events_of(Evaluator("e", echo), failing_after(1, error))

    last = events[-1]
    assert isinstance(last, RunFailed) and last.error is error


@pytest.mark.parametrize(
    ("junk", "message"),
    [
        pytest.param(None, "a case must be an object with an 'input', not a NoneType", id="none"),
        pytest.param("text", "a case must be an object with an 'input', not a str", id="text"),
        pytest.param(
            {"expected": 1}, "a case needs an 'input', but this one has only: expected", id="dict"
        ),
        pytest.param(
            {"input": 1, "tags": 5}, "a case's 'tags' must be a list of strings, not 5", id="tags"
        ),
        pytest.param(
            EvalCase(1, metadata="m"),  # type: ignore[arg-type]
            "a case's 'metadata' must be an object, not a str",
            id="metadata of a case",
        ),
        pytest.param(
            EvalCase(1, trial_count=-1),
            "a case's 'trial_count' must be a whole number from 1, not -1",
            id="trials of a case",
        ),
    ],
)
def test_junk_from_the_source_fails_the_run_after_the_cases_before_it(
    junk: Any, message: str
) -> None:
    events = events_of(Evaluator("e", echo), [{"input": 1}, junk, {"input": 2}], max_concurrency=1)

    last = events[-1]
    assert isinstance(last, RunFailed)
    assert isinstance(last.error, DataError)
    assert str(last.error) == f"case 2: {message}"
    assert [result.output for result in results_of(events)] == [1]


def test_a_source_that_failed_is_not_asked_again() -> None:
    class Failing(Source):
        def __next__(self) -> Any:
            super().__next__()
            raise OSError("gone")

    source = Failing(inputs(*range(10)))
    events_of(Evaluator("e", echo), source)

    assert source.asked.value == 1


@pytest.mark.slow
def test_a_run_that_gets_no_thread_fails_as_a_run() -> None:
    output = python(
        """
        import resource, threading
        from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
        from flask_braintrust_evals.engine.evaluator import Evaluator
        from flask_braintrust_evals.engine.parameters.values import Parameters
        from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
        from flask_braintrust_evals.engine.running.run import Run

        closed = []
        runner = LocalExecutor(CaseRunner(Evaluator("e", lambda input: input).plan, Parameters()))
        run = Run(runner, [{"input": 1}], max_concurrency=1)
        run.when_closed(lambda: closed.append(1))
        # Room enough for everything but the stack of a thread.
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        threading.stack_size(256 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), -1))
        print([type(event).__name__ for event in run], closed)
        """
    )

    assert output == "['RunFailed'] [1]\n"

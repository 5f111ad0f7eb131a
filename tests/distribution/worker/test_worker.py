"""What a worker does with orders and notices, by an owner that says what a test tells it to."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging import links
from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints
from flask_braintrust_evals.distribution.messaging.messages import Message, MessageWriter
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, RunOrder, order_content
from flask_braintrust_evals.distribution.messaging.reports import Report, loss_of
from flask_braintrust_evals.distribution.worker import returned_orders, under_way, worker
from flask_braintrust_evals.distribution.worker.worker import CaseWorker
from flask_braintrust_evals.distribution.worker.worker_runs import (
    MAX_IDLE_RUNS,
    ReceiveSpans,
    WorkerRuns,
)
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.tracing.span_ids import new_ids
from tests.distribution.memory import NOISE, SECRET, MemoryBroker
from tests.distribution.support import UnrecordedCases
from tests.support import eventually, in_time

LEASE = 1.5


class Tasks:
    """Evaluators whose tasks a test can hold back."""

    def __init__(self) -> None:
        self.called: list[Any] = []
        self.release = threading.Event()
        self.cancelled = threading.Event()
        self.evaluators = [
            Evaluator("echo", self.echo),
            Evaluator("slow", self.slow),
            Evaluator("slow to score", self.echo, scores=[self.score]),
            Evaluator("noise", lambda input: NOISE),
            Evaluator("noisy metadata", self.noisy_metadata),
            Evaluator("noisy progress", self.noisy_progress),
            Evaluator("noisy failure", self.noisy_failure),
        ]

    def echo(self, input: Any) -> Any:
        self.called.append(input)
        return input

    def slow(self, input: Any, hooks: Any) -> Any:
        self.called.append(input)
        while not self.release.wait(0.01):
            if hooks.cancel_event.is_set():
                self.cancelled.set()
                return "cancelled"
        return input

    def score(self, output: Any) -> float:
        self.called.append("score")
        assert self.release.wait(10)
        return 1.0

    def noisy_metadata(self, input: Any, hooks: Any) -> Any:
        hooks.metadata["noise"] = NOISE
        return input

    def noisy_progress(self, input: Any, hooks: Any) -> Any:
        hooks.report_progress({"event": "text_delta", "data": NOISE})
        hooks.report_progress({"event": "text_delta", "data": "small"})
        return input

    def noisy_failure(self, input: Any, hooks: Any) -> Any:
        hooks.metadata["noise"] = NOISE
        raise ValueError("short")


class Owner:
    """An owner, by hand: it orders, says notices, and reads what is reported."""

    def __init__(self, tasks: Tasks) -> None:
        self.broker = MemoryBroker()
        self.tasks = tasks
        self.reports: list[tuple[str, Report]] = []
        self.make: Callable[..., Any] = UnrecordedCases
        self.is_ending = False
        self._writer = MessageWriter(SECRET, 1_000_000)
        self._fingerprints = Fingerprints("")
        self.worker = self.new_worker()
        self.start()
        eventually(lambda: self.broker._listeners)
        self._beats = True
        threading.Thread(target=self._beat, daemon=True).start()

    def new_worker(self) -> CaseWorker:
        return CaseWorker(
            self.broker,
            MessageWriter(SECRET, 1_000_000),
            lambda: self.tasks.evaluators,
            lambda *order: self.make(*order),
            self._fingerprints,
            LEASE,
            is_ending=lambda: self.is_ending,
        )

    def start(self) -> None:
        self.worker.start("celery@h1", "celery@h1/1", "threads", 2)

    def order(
        self, name: str, *values: Any, run: str = "run", attempt: int = 1, **changes: Any
    ) -> Message:
        evaluator = next((each for each in self.tasks.evaluators if each.name == name), None)
        fingerprint = {} if evaluator is None else self._fingerprints.of(evaluator)
        fields: dict[str, Any] = {"fingerprint": fingerprint, **changes}
        cases = [
            CaseOrder(number, attempt, number, 0, new_ids(), {"input": value})
            for number, value in enumerate(values)
        ]
        content = order_content(RunOrder("owner", run, name, **fields), cases)
        return self._writer.write("order", content)

    def other(self, **changes: Any) -> Message:
        """An order of another version."""
        content = {**self._writer.read("order", self.order("echo", 1, 2, attempt=3)), **changes}
        return self._writer.write("order", content)

    def perform(self, order: Message, redelivered: bool = False) -> threading.Thread:
        """Have an order performed, in a thread."""
        thread = threading.Thread(
            target=lambda: self.worker.perform(order, redelivered), daemon=True
        )
        thread.start()
        return thread

    def notice(self, **says: Any) -> None:
        content = {"owner": "owner", "over": [], "go": [], "drop": [], "who": False, **says}
        self.worker.take_notice(self._writer.write("notice", content))

    def fall_silent(self) -> None:
        self._beats = False

    def said(self, *kinds: str) -> list[Report]:
        """The reports so far, of these kinds or all but those that only say that it lives."""
        self._read()
        wanted = [report for _, report in self.reports]
        return [r for r in wanted if (r.kind in kinds if kinds else r.kind != "alive")]

    def waits_for(self, *kinds: str) -> Report:
        return eventually(lambda: self.said(*kinds))[-1]

    def _read(self) -> None:
        queue = self.broker.queue_of("owner")
        while not queue.empty():
            content = self._writer.read("report", json.loads(queue.get()))
            self.reports += [(content["process"], Report.of(r)) for r in content["reports"]]

    def _beat(self) -> None:
        while self._beats:
            self.notice()
            time.sleep(0.05)

    def stop(self) -> None:
        self._beats = False
        self.tasks.release.set()
        self.worker.stop()


@pytest.fixture
def owner() -> Iterator[Owner]:
    made = Owner(Tasks())
    eventually(lambda: not made.worker._owners.is_gone("owner"))
    yield made
    made.stop()


def ended(thread: threading.Thread) -> None:
    thread.join(10)
    assert not thread.is_alive()


def kinds(reports: list[Report]) -> list[str]:
    return [report.kind for report in reports]


def test_an_order_is_performed_and_reported_before_it_is_acknowledged(owner: Owner) -> None:
    in_time(lambda: owner.worker.perform(owner.order("echo", 1, 2), False))
    reports = owner.said()
    assert kinds(reports) == ["started", "task", "finished"] * 2
    assert [(r.run, r.number, r.attempt) for r in reports[:3]] == [("run", 0, 1)] * 3
    assert reports[1].content == ["1", None]
    assert {process for process, _ in owner.reports} == {"celery@h1/1"}


@pytest.mark.parametrize(
    "message",
    [
        Message("j{}", "0" * 64),
        MessageWriter("another", 1000).write("order", {}),
        MessageWriter(SECRET, 1000).write("notice", {}),
        MessageWriter(SECRET, 1000).write("order", {"version": 99}),
    ],
)
def test_what_is_no_order_of_this_application_is_ignored(
    owner: Owner, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returned_orders, "RETURN_PAUSE", 0.01)
    in_time(lambda: owner.worker.perform(message, False))
    owner.worker.lost(message, "killed")
    assert owner.said() == []


@pytest.mark.parametrize("says", [{"owner": None}, {"over": 5}, {"drop": [[1]]}, {"extra": 1}])
def test_odd_notices_are_ignored(owner: Owner, says: dict[str, Any]) -> None:
    owner.notice(**says)
    owner.worker.take_notice(Message("j{}", ""))
    in_time(lambda: owner.worker.perform(owner.order("echo", 1), False))
    assert kinds(owner.said()) == ["started", "task", "finished"]


def test_other_code_is_refused_by_what_differs(owner: Owner) -> None:
    fingerprint = {**owner._fingerprints.of(owner.tasks.evaluators[0]), "its parameters": "x"}
    in_time(lambda: owner.worker.perform(owner.order("echo", 1, fingerprint=fingerprint), False))
    (report,) = owner.said()
    assert (report.kind, report.content) == (
        "refused",
        "worker celery@h1 has another version of evaluator 'echo'; what differs: its parameters;"
        " restart the worker with the code of the server",
    )
    assert owner.tasks.called == []


def test_an_order_of_another_version_is_refused_and_reported_if_it_is_lost(owner: Owner) -> None:
    order = owner.other(version=99, fingerprint=None)
    in_time(lambda: owner.worker.perform(order, False))
    owner.worker.lost(order, "killed")
    reports = owner.said()
    assert [(r.kind, r.run, r.number, r.attempt) for r in reports] == [
        (kind, "run", number, 3) for kind in ("refused", "lost") for number in (0, 1)
    ]
    assert reports[0].content == (
        "worker celery@h1 cannot run this order: the order has version 99 of the messages, and"
        " this worker reads version 1: both need the same version of flask-braintrust-evals"
    )
    in_time(lambda: owner.worker.perform(owner.other(recording=5), False))
    assert "the order cannot be read" in owner.said("refused")[2].content
    in_time(lambda: owner.worker.perform(owner.other(new=1), False))
    assert owner.tasks.called == [1, 2]


def test_an_unknown_evaluator_is_refused(owner: Owner) -> None:
    in_time(lambda: owner.worker.perform(owner.order("other", 1), False))
    (report,) = owner.said()
    assert report.content.startswith("worker celery@h1 has no evaluator 'other'")


@pytest.mark.parametrize("error", [EvalsError("bad parameters"), RuntimeError("bad parameters")])
def test_a_run_that_cannot_begin_is_refused(owner: Owner, error: Exception) -> None:
    def fail(*order: Any) -> Any:
        raise error

    owner.make = fail
    in_time(lambda: owner.worker.perform(owner.order("echo", 1), False))
    (report,) = owner.said()
    assert report.kind == "refused"
    assert "cannot run evaluator 'echo'" in report.content and "bad parameters" in report.content


def test_a_failure_around_the_task_is_the_cases(owner: Owner) -> None:
    class Broken(UnrecordedCases):
        def take_spans(self, trace_id: int) -> Any:
            raise OSError("disk full")

    owner.make = Broken
    in_time(lambda: owner.worker.perform(owner.order("echo", 1, 2), False))
    finished = owner.said("finished")
    assert [report.content["error"][:2] for report in finished] == [["OSError", "disk full"]] * 2


def test_a_process_that_ends_reports_its_case_as_lost(owner: Owner) -> None:
    class Ending(UnrecordedCases):
        def take_spans(self, trace_id: int) -> Any:
            raise SystemExit

    owner.make = Ending
    with pytest.raises(SystemExit):
        owner.worker.perform(owner.order("echo", 1), False)
    assert owner.waits_for("lost").content == "it was ended by SystemExit"
    assert owner.worker._under_way.attempts == {}


@pytest.mark.parametrize("raises", [True, False])
def test_a_case_whose_process_is_told_to_end_has_not_failed(owner: Owner, raises: bool) -> None:
    def ended(input: Any) -> Any:
        owner.tasks.called.append(input)
        owner.is_ending = True  # as the handler of a signal does
        if raises:
            raise SystemExit(-241)
        return "what its clean-up returned"

    owner.tasks.evaluators.append(Evaluator("ended", ended))
    with pytest.raises(SystemExit):
        owner.worker.perform(owner.order("ended", 1, 2), False)
    reports = owner.said()  # they have reached the broker before the process ends
    assert kinds(reports) == ["started", "lost"]
    assert loss_of(reports[1].content) == ("its process was told to end", True)
    assert owner.tasks.called == [1]
    assert owner.worker._under_way.attempts == {}


def test_so_it_is_if_the_process_is_told_elsewhere_than_in_the_task(owner: Owner) -> None:
    class Ending(UnrecordedCases):
        def take_spans(self, trace_id: int) -> Any:
            owner.is_ending = True
            raise SystemExit

    owner.make = Ending
    with pytest.raises(SystemExit):
        owner.worker.perform(owner.order("echo", 1), False)
    assert loss_of(owner.said("lost")[0].content) == ("its process was told to end", True)
    assert owner.said("finished") == []


def test_a_task_that_calls_sys_exit_fails_and_its_process_goes_on(owner: Owner) -> None:
    owner.tasks.evaluators.append(Evaluator("exits", lambda input: sys.exit(3)))
    in_time(lambda: owner.worker.perform(owner.order("exits", 1, 2), False))
    tasks = owner.said("task")
    assert [report.content[1][:2] for report in tasks] == [["SystemExit", "3"]] * 2
    assert len(owner.said("finished")) == 2


@pytest.mark.parametrize(("attempt", "redelivered"), [(2, False), (1, True)])
def test_that_a_case_starts_once_more_is_known_before_its_task_is_called(
    owner: Owner, attempt: int, redelivered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = owner.broker.put

    def put_slowly(*args: Any, **options: Any) -> None:
        time.sleep(0.05)
        put(*args, **options)

    monkeypatch.setattr(owner.broker, "put", put_slowly)
    known: list[Any] = []
    owner.tasks.evaluators.append(
        Evaluator("watch", lambda input: known.extend(kinds(owner.said("started"))))
    )
    order = owner.order("watch", 1, attempt=attempt)
    thread = owner.perform(order, redelivered)
    if redelivered:
        owner.waits_for("ask")
        owner.notice(go=[["run", 0, 1]])
    ended(thread)
    assert known == ["started"]


def test_what_waits_for_a_slow_case_of_its_order_is_given_back(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way, "WAITING_SECONDS", 0.1)
    thread = owner.perform(owner.order("slow", 1, 2, 3))
    eventually(lambda: len(owner.said("lost")) == 2)
    assert [(r.run, r.number, r.attempt) for r in owner.said("lost")] == [
        ("run", 1, 1),
        ("run", 2, 1),
    ]
    assert not any(loss_of(report.content)[1] for report in owner.said("lost"))
    assert owner.worker._under_way.attempts.keys() == {("run", 0, 1)}
    owner.tasks.release.set()
    ended(thread)
    assert owner.tasks.called == [1]
    assert owner.worker._under_way._lines == set()


def test_what_waits_for_quick_ones_is_not(owner: Owner) -> None:
    in_time(lambda: owner.worker.perform(owner.order("echo", *range(100)), False))
    assert owner.said("lost") == []


def test_what_runs_is_named_until_it_is_reported(owner: Owner) -> None:
    thread = owner.perform(owner.order("slow", 1))
    assert owner.waits_for("alive").content == [["run", 0, 1]]
    owner.tasks.release.set()
    ended(thread)
    assert owner.worker._under_way.attempts == {}


@pytest.mark.parametrize(
    ("others", "content"),
    [
        ([f"another owner {number}" for number in range(15)], ""),
        (["another owner"] * 15, NOISE[:180_000]),
    ],
    ids=["to many owners", "too large for one message"],
)
def test_so_it_is_while_many_reports_are_sent(
    owner: Owner, others: list[str], content: str
) -> None:
    thread = owner.perform(owner.order("slow", 1))
    owner.waits_for("alive")
    owner.broker.delay = 0.1
    for each in others:
        owner.worker._reports.report(each, Report("ask", "run", 0, 1, content))
    eventually(lambda: len(owner.said("alive")) > 1)
    assert sum(owner.broker.queue_of(each).qsize() for each in set(others)) < len(others)
    owner.broker.delay = 0.0
    owner.tasks.release.set()
    ended(thread)


def test_an_order_that_is_delivered_again_while_it_runs_is_not_run_twice(owner: Owner) -> None:
    order = owner.order("slow", 1)
    first = owner.perform(order)
    eventually(lambda: owner.tasks.called)
    in_time(lambda: owner.worker.perform(order, True))
    assert owner.worker._under_way.attempts.keys() == {("run", 0, 1)}  # it is named all the same
    owner.tasks.release.set()
    ended(first)
    assert owner.tasks.called == [1]
    assert kinds(owner.said()) == ["started", "task", "finished"]


def test_one_that_is_delivered_again_asks_first(owner: Owner) -> None:
    thread = owner.perform(owner.order("echo", 1), redelivered=True)
    owner.waits_for("ask")
    assert owner.tasks.called == []
    owner.notice(go=[["run", 0, 1]])
    ended(thread)
    assert owner.tasks.called == [1]


def test_what_nobody_wants_does_not_start(owner: Owner) -> None:
    thread = owner.perform(owner.order("echo", 1, 2), redelivered=True)
    owner.waits_for("ask")
    owner.notice(go=[["run", 0, 1]], drop=[["run", 1, 1]])
    ended(thread)
    owner.notice(drop=[["run", 0, 2]], over=["ended"])
    for order in (owner.order("echo", 3, attempt=2), owner.order("echo", 4, run="ended")):
        in_time(lambda order=order: owner.worker.perform(order, False))  # type: ignore[misc]
    assert owner.tasks.called == [1]


def test_other_orders_are_performed_while_one_waits_for_an_answer(owner: Owner) -> None:
    waiting = owner.perform(owner.order("echo", 1, run="old"), redelivered=True)
    owner.waits_for("ask")
    in_time(lambda: owner.worker.perform(owner.order("echo", 2), False))
    assert owner.tasks.called == [2]
    owner.notice(drop=[["old", 0, 1]])
    ended(waiting)


@pytest.mark.slow
def test_an_order_of_an_owner_that_does_not_answer_is_refused_after_the_lease(
    owner: Owner,
) -> None:
    owner.fall_silent()
    eventually(lambda: owner.worker._owners.is_gone("owner"))
    began = time.monotonic()
    in_time(lambda: owner.worker.perform(owner.order("echo", 1), False))
    assert time.monotonic() - began < LEASE * 3
    (report,) = owner.said("refused")
    assert "worker celery@h1 hears nothing of the process that has ordered them" in report.content
    asked = len(owner.said("ask"))
    in_time(lambda: owner.worker.perform(owner.order("echo", 2), False))
    assert owner.tasks.called == []
    assert len(owner.said("ask")) == asked


def test_the_end_of_a_run_cancels_its_cases_and_reports_them(owner: Owner) -> None:
    thread = owner.perform(owner.order("slow", 1, 2))
    eventually(lambda: owner.tasks.called)
    owner.notice(over=["run"])
    assert owner.tasks.cancelled.wait(10)
    ended(thread)
    (finished,) = owner.said("finished")
    assert finished.content["interrupted"]
    assert owner.tasks.called == [1]  # the second one never started


@pytest.mark.slow
def test_an_owner_that_is_silent_for_the_lease_has_its_cases_cancelled(owner: Owner) -> None:
    thread = owner.perform(owner.order("slow", 1))
    eventually(lambda: owner.tasks.called)
    owner.fall_silent()
    assert owner.tasks.cancelled.wait(LEASE * 4)
    ended(thread)
    # Nothing of it counts for an owner that is back by then.
    assert kinds(owner.said()) == ["started", "lost"]
    reason, is_given_up = loss_of(owner.said("lost")[0].content)
    assert "heard nothing of the server for 1.5 seconds" in reason
    assert is_given_up


@pytest.mark.slow
def test_so_it_is_while_the_broker_is_down(owner: Owner) -> None:
    owner.perform(owner.order("slow", 1))
    eventually(lambda: owner.tasks.called)
    owner.fall_silent()
    owner.broker.is_up = False
    assert owner.tasks.cancelled.wait(LEASE * 4)


@pytest.mark.slow
def test_a_result_that_the_cancellation_may_have_changed_does_not_count(owner: Owner) -> None:
    thread = owner.perform(owner.order("slow to score", 1))
    eventually(lambda: "score" in owner.tasks.called)
    owner.fall_silent()
    eventually(lambda: not owner.worker._runs._runs)
    owner.tasks.release.set()
    ended(thread)
    assert owner.said("finished") == []
    assert len(owner.said("lost")) == 1


def test_a_process_says_hello_when_asked(owner: Owner) -> None:
    owner.perform(owner.order("slow", 1))
    eventually(lambda: owner.tasks.called)
    owner.notice(who=True)
    hello = owner.waits_for("hello").content
    names = ["name", "process", "pool", "slots", "busy"]
    assert [hello[name] for name in names] == ["celery@h1", "celery@h1/1", "threads", 2, 1]
    assert "echo" in hello["evaluators"]


def test_starting_twice_is_starting_once(owner: Owner) -> None:
    owner.worker.start("other", "other/1", "prefork", 9)
    owner.notice(who=True)
    assert owner.waits_for("hello").content["name"] == "celery@h1"


def test_a_process_that_had_no_threads_when_it_began_reports_later(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(work: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(worker, "FLUSH_SECONDS", 1.0)
    owner.worker.stop()
    owner.worker = owner.new_worker()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(links, "start_real_thread", refuse)
        owner.start()
    owner.start()
    owner.notice()
    ended(owner.perform(owner.order("echo", 1)))
    assert kinds(owner.said()) == ["started", "task", "finished"]


def test_the_process_that_started_another_reports_its_order_as_lost(owner: Owner) -> None:
    owner.worker.lost(owner.order("echo", 1, 2, attempt=3), "killed by a signal")
    reports = owner.said()
    assert [(r.kind, r.number, r.attempt, r.content) for r in reports] == [
        ("lost", 0, 3, "killed by a signal"),
        ("lost", 1, 3, "killed by a signal"),
    ]
    assert {process for process, _ in owner.reports} == {""}
    owner.broker.is_up = False
    owner.worker.lost(owner.order("echo", 1), "killed")  # raises nothing


def test_an_output_that_is_too_large_fails_the_case(owner: Owner) -> None:
    in_time(lambda: owner.worker.perform(owner.order("noise", 1), False))
    task, finished = owner.said("task", "finished")
    assert task.content[0] is None
    kind, message, _, _ = task.content[1]
    assert kind == "WorkerError"
    assert "the output of the task is too large to be sent from the worker" in message
    assert "BRAINTRUST_EVALS_MAX_MESSAGE" in message
    assert finished.content["error"] is None


def test_so_does_another_result_and_the_failure_of_a_task_is_kept(owner: Owner) -> None:
    in_time(lambda: owner.worker.perform(owner.order("noisy metadata", 1), False))
    (finished,) = owner.said("finished")
    assert "the result of the case is too large to be sent" in finished.content["error"][1]
    in_time(lambda: owner.worker.perform(owner.order("noisy failure", 1, run="r2"), False))
    assert owner.said("finished")[1].content["error"][:2] == ["ValueError", "short"]


def test_spans_that_are_too_large_are_left_out_and_counted(owner: Owner) -> None:
    class Traced(UnrecordedCases):
        def take_spans(self, trace_id: int) -> Any:
            return {"name": NOISE}, [{"count": 3, "spans": "x"}]

    owner.make = Traced
    in_time(lambda: owner.worker.perform(owner.order("echo", 1), False))
    (finished,) = owner.said("finished")
    content = finished.content
    assert (content["error"], content["root"], content["spans"], content["lost_spans"]) == (
        None,
        None,
        [],
        3,
    )


def test_progress_that_is_too_large_is_left_out(owner: Owner) -> None:
    in_time(lambda: owner.worker.perform(owner.order("noisy progress", 1), False))
    assert kinds(owner.said()) == ["started", "progress", "task", "finished"]
    assert owner.said("progress")[0].content["data"] == "small"


def test_progress_alone_is_sent_in_few_messages_and_nothing_else_waits(owner: Owner) -> None:
    def chatty(input: Any, hooks: Any) -> Any:
        for number in range(200):
            hooks.report_progress({"event": "text_delta", "data": f"{number} "})
            time.sleep(0.001)
        return input

    owner.tasks.evaluators.append(Evaluator("chatty", chatty))
    order = owner.order("chatty", 1)
    before = len(owner.broker.log)
    began = time.monotonic()
    in_time(lambda: owner.worker.perform(order, False))
    seconds = time.monotonic() - began
    sent = sum(kind == "report" for kind, _ in owner.broker.log[before:])
    assert sent < 30 * seconds + 10
    text = "".join(report.content["data"] for report in owner.said("progress"))
    assert text == "".join(f"{number} " for number in range(200))


def test_reports_wait_for_a_broker_that_is_down(owner: Owner) -> None:
    owner.broker.is_up = False
    thread = owner.perform(owner.order("echo", 1))
    eventually(lambda: owner.tasks.called)
    assert thread.is_alive()
    owner.broker.is_up = True
    ended(thread)
    assert kinds(owner.said()) == ["started", "task", "finished"]


class Kept(UnrecordedCases):
    log: list[str]

    def __init__(self, order: RunOrder, evaluator: Evaluator, receive: ReceiveSpans) -> None:
        super().__init__(order, evaluator, receive)
        self.name = order.run

    def close(self) -> None:
        self.log.append(self.name)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    log: list[str] = []
    monkeypatch.setattr(Kept, "log", log, raising=False)
    return log


ECHO = Evaluator("echo", lambda input: input)


def use(runs: WorkerRuns, name: str) -> Any:
    return runs.use(RunOrder(f"owner of {name}", name, "echo", {}), ECHO, lambda spans: None)


def test_a_run_that_ends_while_it_is_used_is_closed_by_its_last_user(closed: list[str]) -> None:
    runs = WorkerRuns(Kept)
    one, two = use(runs, "a"), use(runs, "a")
    assert one is two
    assert runs.end(lambda run, owner: owner == "owner of a")
    assert one.run.executor._runner.cancellation.is_set()
    runs.leave(one)
    assert closed == []
    runs.leave(two)
    assert closed == ["a"]
    assert not runs.end(lambda run, owner: True)


def test_a_run_that_began_anew_is_another_one(closed: list[str]) -> None:
    runs = WorkerRuns(Kept)
    old = use(runs, "a")
    runs.end(lambda run, owner: True, is_abandoned=True)
    new = use(runs, "a")
    assert (old.is_abandoned, new.is_abandoned) == (True, False)
    assert not new.run.executor._runner.cancellation.is_set()
    runs.leave(old)
    assert closed == ["a"]
    runs.end(lambda run, owner: True)
    assert closed == ["a"]  # the new one is still used
    runs.leave(new)
    assert closed == ["a", "a"]


def test_only_idle_runs_are_given_up_for_others(closed: list[str]) -> None:
    runs = WorkerRuns(Kept)
    used = use(runs, "used")
    for number in range(MAX_IDLE_RUNS + 3):
        runs.leave(use(runs, f"r{number}"))
    assert closed == ["r0", "r1", "r2"]
    runs.leave(used)
    assert len(runs._runs) == MAX_IDLE_RUNS


def test_all_runs_end_although_one_of_them_fails(closed: list[str]) -> None:
    runs = WorkerRuns(Kept)
    one, two = use(runs, "a"), use(runs, "b")

    def fail() -> None:
        raise RuntimeError("of a callback")

    one.run.executor.cancel = fail
    with pytest.raises(RuntimeError):
        runs.end(lambda run, owner: True)
    assert two.run.executor._runner.cancellation.is_set()

"""What an owner does with what workers report, by workers that say what a test tells them to."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.real_threads import start_real_thread
from flask_braintrust_evals.distribution.messaging import links
from flask_braintrust_evals.distribution.messaging.messages import Message, MessageWriter
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, RunOrder
from flask_braintrust_evals.distribution.messaging.reports import (
    Report,
    failed_outcome,
    given_up,
    outcome_of,
)
from flask_braintrust_evals.distribution.messaging.transport import WorkerInfo
from flask_braintrust_evals.distribution.owner.attempts import OpenCase, OrderedRun
from flask_braintrust_evals.distribution.owner.order_sender import OrderSender
from flask_braintrust_evals.distribution.owner.owner_state import OwnerState
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    Event,
    RunFailed,
    RunFinished,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.errors import BrokerError, RunError, WorkersError
from flask_braintrust_evals.tracing.span_ids import new_ids
from tests.distribution.memory import NOISE, SECRET, MemoryBroker, Notices, Script, contents_of
from tests.distribution.support import Site, site
from tests.engine.support import by_case, inputs, kinds, results_of
from tests.support import eventually, in_time

EVALUATOR = Evaluator("e", lambda input: input)
DONE = ["CaseStarted", "TaskFinished", "CaseFinished"]


class Running:
    """A run whose events a thread receives."""

    def __init__(self, there: Site, *values: Any, **options: Any) -> None:
        self.run = there.new_run(EVALUATOR, inputs(*values), **options)
        self.events: list[Event] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        try:
            self.events.extend(self.run)
        except BaseException as error:
            self.error = error

    def ends(self, seconds: float = 10) -> list[Event]:
        """All events, of a run that must end now."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the run goes on"
        assert self.error is None
        return self.events

    def result(self) -> CaseResult:
        (result,) = results_of(self.ends())
        return result


@pytest.fixture
def there() -> Iterator[Site]:
    with site(EVALUATOR, workers=0, lease=2.0) as made:
        yield made


@pytest.fixture
def script(there: Site) -> Script:
    return Script(there.broker)


@pytest.fixture
def notices(there: Site) -> Notices:
    return Notices(there.broker)


def test_a_case_is_done_when_its_worker_says_so(there: Site, script: Script) -> None:
    running = Running(there, "in")
    order, case = script.case()
    assert (case["case"], case["attempt"]) == ({"input": "in"}, 1)
    script.about(order, case, "started")
    script.about(order, case, "progress", {"event": "text_delta", "data": "half"})
    script.finish(order, case, {"a": 1})
    events = running.ends()
    assert kinds(by_case(events)[0]) == ["CaseStarted", "CaseProgress", *DONE[1:]]
    assert results_of(events)[0].output == {"a": 1}
    assert there.dispatcher._state.runs == {}


def test_duplicates_and_late_reports_change_nothing(there: Site, script: Script) -> None:
    running = Running(there, 1, 2, max_concurrency=1)
    order, case = script.case()
    for _ in range(2):
        script.about(order, case, "started")
        script.finish(order, case, "first")
    script.about(order, case, "lost", "its process has died")
    script.about(order, case, "refused", "other code")
    script.about(order, case, "progress", {"event": "text_delta", "data": "late"})
    second_order, second = script.case()
    script.about(order, case, "task", ['"late"', None])
    script.finish(second_order, second, "second")
    script.finish(order, case, "late")
    events = running.ends()
    assert [kinds(each) for each in by_case(events).values()] == [DONE, DONE]
    assert [result.output for result in results_of(events)] == ["first", "second"]
    assert there.broker.orders.empty()


def test_what_other_processes_say_of_an_attempt_does_not_count(
    there: Site, script: Script, notices: Notices
) -> None:
    other = Script(there.broker, "celery@h2/2")
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "started")
    other.about(order, case, "started")
    notices.wait_for("drop", [order["run"], 0, 1])
    other.about(order, case, "refused", "other code")
    other.about(order, case, "progress", {"event": "text_delta", "data": "other"})
    other.finish(order, case, "other")
    script.finish(order, case, "own")
    assert running.result().output == "own"
    assert kinds(by_case(running.events)[0]) == DONE


def test_a_lost_attempt_is_sent_again_and_only_the_new_one_counts(
    there: Site, script: Script
) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "started")
    script.about(order, case, "lost", "its process has died")
    again, second = script.case()
    assert (second["attempt"], second["ids"]) == (2, case["ids"])
    script.about(order, case, "task", ['"old"', None])
    script.finish(order, case, "old")
    script.finish(again, second, "new")
    assert running.result().output == "new"
    assert kinds(by_case(running.events)[0]) == DONE


def test_a_case_that_kills_its_process_fails_alone(there: Site, script: Script) -> None:
    running = Running(there, "poison", "good")
    lost, done = 0, False
    while lost < 3 or not done:
        order, case = script.case()
        if case["case"]["input"] == "good":
            script.finish(order, case)
            done = True
        else:
            script.say(
                order["owner"],
                Report("lost", order["run"], case["number"], case["attempt"], "killed"),
                process="",
            )
            lost += 1
    poison, good = results_of(running.ends())
    assert str(poison.error) == (
        "CaseLostError: the worker process that ran this case was lost 3 times; the last time"
        " killed"
    )
    assert good.error is None
    assert isinstance(running.events[-1], RunFinished)


def test_a_case_that_its_workers_give_up_does_not_fail(there: Site, script: Script) -> None:
    running = Running(there, 1)
    for _ in range(5):
        order, case = script.case()
        script.about(order, case, "started")
        script.about(order, case, "lost", given_up("it had heard nothing of the server"))
    script.finish(*script.case(), "done")
    assert running.result().output == "done"


def test_the_output_is_told_once_although_the_scorers_were_lost(
    there: Site, script: Script
) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "started")
    script.about(order, case, "task", ['"a"', None])
    script.about(order, case, "lost", "its process has died")
    script.finish(*script.case(), "a")
    assert kinds(by_case(running.ends())[0]) == DONE


@pytest.mark.slow
def test_a_case_that_is_done_is_not_run_again_while_its_client_reads_nothing(
    there: Site, script: Script
) -> None:
    run = there.new_run(EVALUATOR, inputs(1))
    events = iter(run)
    in_time(lambda: next(events))
    order, case = script.case()
    script.about(order, case, "started")
    for _ in range(200):  # more than may wait for the consumer
        script.about(order, case, "progress", {"event": "text_delta", "data": "x"})
    script.finish(order, case)
    eventually(lambda: not there.dispatcher._state.runs[order["run"]].cases)
    script.about(order, case, "lost", "its process ended")
    time.sleep(2.5)  # longer than the lease
    assert there.broker.orders.empty()
    rest = in_time(lambda: list(events))
    assert sum(isinstance(event, CaseProgress) for event in rest) == 200
    assert kinds(rest[-3:]) == ["TaskFinished", "CaseFinished", "RunFinished"]


@pytest.mark.slow
def test_an_attempt_that_falls_silent_is_sent_again(there: Site, script: Script) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "started")
    second_order, second = in_time(script.case)
    assert second["attempt"] == 2
    script.finish(second_order, second, "second")
    assert running.result().output == "second"


@pytest.mark.slow
def test_one_that_is_named_alive_is_not(there: Site, script: Script) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "started")
    ends = time.monotonic() + 3.5
    while time.monotonic() < ends:
        script.say(order["owner"], Report("alive", content=[[order["run"], 0, 1]]))
        time.sleep(0.1)
    assert there.broker.orders.empty()
    script.finish(order, case)
    running.ends()


def test_a_worker_that_names_a_run_that_is_over_is_told(
    there: Site, script: Script, notices: Notices
) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.finish(order, case)
    running.ends()
    script.say(order["owner"], Report("alive", content=[["another run", 0, 1]]))
    notices.wait_for("over", "another run")


def test_a_worker_that_says_more_of_itself_is_known_all_the_same(
    there: Site, script: Script
) -> None:
    running = Running(there, 1)
    order, case = script.case()
    info = WorkerInfo("celery@h1", script.process, "threads", 3, 0, ("e",), "0", "")
    script.say(order["owner"], Report("hello", content={**vars(info), "new": 1}))
    eventually(lambda: there.dispatcher._state.workers.slots() == 3)
    script.finish(order, case)
    running.ends()


def test_who_asks_is_answered(there: Site, script: Script, notices: Notices) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "ask")
    notices.wait_for("go", [order["run"], 0, 1])
    script.about(order, case, "started")
    other = Script(there.broker, "celery@h2/2")
    other.about(order, case, "ask")  # its message was delivered twice
    notices.wait_for("drop", [order["run"], 0, 1])
    other.about(order, case, "ask", attempt=7)
    notices.wait_for("drop", [order["run"], 0, 7])
    script.finish(order, case)
    running.ends()
    script.about(order, case, "ask", attempt=1)
    eventually(lambda: notices.say("drop").count([order["run"], 0, 1]) == 2)


@pytest.mark.slow
def test_what_is_refused_is_sent_again_and_may_be_accepted(there: Site, script: Script) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "refused", "worker x has other code")
    again, second = script.case()
    assert second["attempt"] == 2
    script.finish(again, second)
    assert running.result().error is None


def test_what_all_workers_refuse_fails_the_run_by_the_workers_reason(
    there: Site, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "flask_braintrust_evals.distribution.owner.supervision.REFUSED_SECONDS", 0.3
    )
    monkeypatch.setattr("flask_braintrust_evals.distribution.owner.supervision.REFUSED_PAUSE", 0.05)
    there.dispatcher._state.supervision.lease = 0.3
    running = Running(there, *range(3))
    has_ended = threading.Event()

    def refuse() -> None:
        while not has_ended.is_set():
            if there.broker.orders.empty():
                time.sleep(0.01)
                continue
            order, case = script.case()
            script.about(order, case, "refused", "worker x has other code: its parameters differ")

    refusing = threading.Thread(target=refuse, daemon=True)
    refusing.start()
    events = running.ends()
    has_ended.set()
    refusing.join(10)
    assert isinstance(events[-1], RunFailed)
    assert isinstance(events[-1].error, WorkersError)
    assert str(events[-1].error) == "worker x has other code: its parameters differ"
    for each in by_case(events).values():
        assert kinds(each) == DONE
    assert all(result.interrupted for result in results_of(events))
    assert there.dispatcher._state.runs == {}


def test_without_workers_a_run_fails(
    there: Site, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "flask_braintrust_evals.distribution.owner.supervision.NO_WORKER_SECONDS", 0.3
    )
    events = Running(there, 1, 2).ends()
    assert isinstance(events[-1], RunFailed)
    assert "no worker takes cases from the queue 'cases'" in str(events[-1].error)
    assert "BRAINTRUST_EVALS_EXECUTOR of this process" in str(events[-1].error)
    assert "`celery worker`" in str(events[-1].error)


def test_a_run_whose_broker_stays_away_fails(
    there: Site, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_braintrust_evals.distribution.owner.supervision.STUCK_SECONDS", 0.1)
    there.dispatcher._state.supervision.lease = 0.1
    running = Running(there, 1, 2)
    script.about(*script.case(), "started")
    there.broker.is_up = False
    events = running.ends()
    assert isinstance(events[-1], RunFailed)
    assert "the broker at memory:// has passed no message on for 0.4 s" in str(events[-1].error)


def test_stopping_interrupts_what_has_not_started_and_receives_what_has(
    there: Site, script: Script, notices: Notices
) -> None:
    running = Running(there, 1, 2)
    order, first = script.case()
    script.about(order, first, "started")
    script.case()
    eventually(lambda: there.dispatcher._state.runs[order["run"]].cases[0].started_at)
    running.run.stop()
    notices.wait_for("over", order["run"])
    script.finish(order, first, "done")
    results = results_of(running.ends())
    assert [(result.output, result.interrupted) for result in results] == [
        ("done", False),
        (None, True),
    ]
    assert "RunError: the run was cancelled before the task returned" == str(results[1].error)
    assert isinstance(running.events[-1], RunFinished)
    assert running.run.summary.interrupted == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "give_up"])
@pytest.mark.parametrize("is_up", [True, False])
def test_a_run_ends_within_seconds_although_its_worker_says_nothing_more(
    there: Site, script: Script, how: str, is_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_braintrust_evals.distribution.owner.dispatcher.CANCEL_SECONDS", 0.3)
    running = Running(there, 1, 2)
    order, case = script.case()
    script.about(order, case, "started")
    eventually(lambda: there.dispatcher._state.runs[order["run"]].cases[0].started_at)
    there.broker.is_up = is_up
    if how == "stop":
        running.run.stop()
    else:
        running.run.give_up(RunError("enough"))
    events = running.ends(3)
    assert [result.interrupted for result in results_of(events)] == [True, True]
    assert len(by_case(events)) == 2
    eventually(lambda: not there.dispatcher._state.runs)
    eventually(lambda: running.run._users.workers == 0)


def test_closing_ends_all_that_the_run_has(there: Site, script: Script) -> None:
    run = there.new_run(EVALUATOR, inputs(1, 2))
    events = iter(run)
    in_time(lambda: next(events))
    order, case = script.case()
    run.close()
    eventually(lambda: not there.dispatcher._state.runs)
    assert kinds(in_time(lambda: list(events))) == ["RunFinished"]
    assert run._users.workers == 0


def test_no_case_is_ordered_after_the_cancellation(there: Site, script: Script) -> None:
    run = there.new_run(EVALUATOR, inputs(1))
    run.stop()
    events = in_time(lambda: list(run))
    assert kinds(events) == ["RunFinished"]
    assert contents_of(there.broker, "order") == []


def test_a_run_that_is_never_iterated_over_leaves_nothing(there: Site) -> None:
    there.new_run(EVALUATOR, inputs(1))
    assert there.dispatcher._state.runs == {}


def test_one_case_that_is_too_large_fails_alone_in_its_batch(there: Site, script: Script) -> None:
    running = Running(there, NOISE, "small")
    order, case = script.case()
    assert case["case"]["input"] == "small"
    script.finish(order, case)
    large, small = results_of(running.ends())
    assert "CaseLostError: the case is too large to be sent" in str(large.error)
    assert "BRAINTRUST_EVALS_MAX_MESSAGE" in str(large.error)
    assert small.error is None


def test_a_case_that_json_cannot_hold_fails_alone(there: Site, script: Script) -> None:
    running = Running(there, (1, 2), None)
    order, case = script.case()
    assert case["case"] == {}
    script.finish(order, case)
    odd, good = results_of(running.ends())
    assert "CaseValueError: input is (1, 2) (of the class tuple)" in str(odd.error)
    assert good.error is None


def test_too_much_progress_is_left_out_and_the_result_is_not(
    there: Site, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "flask_braintrust_evals.distribution.owner.attempts.MAX_WAITING_PROGRESS", 5000
    )
    run = there.new_run(EVALUATOR, inputs(1))
    events = iter(run)
    in_time(lambda: next(events))
    order, case = script.case()
    for _ in range(300):
        script.about(order, case, "progress", {"event": "text_delta", "data": "x" * 100})
    script.finish(order, case)
    eventually(lambda: not there.dispatcher._state.runs[order["run"]].cases)
    rest = in_time(lambda: list(events))
    assert 50 <= sum(isinstance(event, CaseProgress) for event in rest) < 200
    assert isinstance(rest[-2], CaseFinished)


def test_a_failure_of_the_worker_itself_is_the_cases(there: Site, script: Script) -> None:
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "finished", failed_outcome(CaseError("OSError", "disk full")))
    result = running.result()
    assert (str(result.error), result.output_json) == ("OSError: disk full", None)
    assert kinds(by_case(running.events)[0]) == DONE
    (answer,) = [event for event in running.events if isinstance(event, TaskFinished)]
    assert str(answer.error) == "OSError: disk full"


def test_a_case_whose_output_was_lost_on_the_way_is_run_again(there: Site, script: Script) -> None:
    outcome = outcome_of(CaseResult(CaseRef("", 0, 0, None), EvalCase(None)))
    running = Running(there, 1)
    order, case = script.case()
    script.about(order, case, "started")
    script.about(order, case, "finished", outcome)
    again = script.case()
    assert again[1]["attempt"] == 2
    script.finish(*again, output=7)
    result = running.result()
    assert (result.output, result.error) == (7, None)


def test_whatever_is_wrong_with_a_report_the_others_count(there: Site, script: Script) -> None:
    running = Running(there, 1)
    order, case = script.case()
    owner = order["owner"]
    queue = there.broker.queue_of(owner)
    for text in ('["j{}", "0"]', '["", ""]', "[1, 2]"):
        queue.put(text)
    odd: list[Any] = [["unknown", order["run"], 0, 1, None], ["started"], 5]
    odd += [["hello", "", -1, 0, {}], ["alive", "", -1, 0, 7], ["finished", order["run"], 0, 1, 0]]
    reports = [*odd, ["task", order["run"], 0, 1, ["7", None]]]
    writer: Any = script._writer
    queue.put(json.dumps(writer.write("report", {"process": "p", "reports": reports})))
    queue.put(json.dumps(writer.write("report", [])))
    script.finish(order, case, 8)
    assert running.result().output == 8


def test_a_check_passes_with_a_worker_that_says_hello(there: Site, script: Script) -> None:
    owner = there.dispatcher._state.reply_to

    def answer() -> None:
        eventually(lambda: any(each["who"] for each in contents_of(there.broker, "notice")))
        script.hello(owner, 3, 1, "e")

    threading.Thread(target=answer, daemon=True).start()
    in_time(there.dispatcher.check)
    (info,) = in_time(lambda: _hello(there, script))
    assert (info.name, info.process, info.slots, info.evaluators) == (
        "celery@h1",
        "celery@h1/1",
        3,
        ("e",),
    )


def test_threads_for_which_the_system_had_no_room_are_started_later(
    there: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [True, False]

    def start(work: Any) -> None:
        if not room.pop(0):
            raise RuntimeError("can't start new thread")
        start_real_thread(work)

    monkeypatch.setattr(links, "start_real_thread", start)
    with pytest.raises(RuntimeError):
        there.dispatcher.check_broker()
    room.append(True)
    in_time(there.dispatcher.check_broker)
    in_time(there.dispatcher.check_broker)  # which starts none


def _hello(there: Site, script: Script) -> Any:
    owner = there.dispatcher._state.reply_to
    timer = threading.Timer(0.05, lambda: script.hello(owner, 3, 0, "e"))
    timer.start()
    return there.dispatcher.workers(0.3)


@pytest.mark.slow
def test_a_check_without_workers_says_how_to_start_one(there: Site) -> None:
    with pytest.raises(WorkersError, match="start one with `celery worker`"):
        in_time(there.dispatcher.check)


@pytest.mark.parametrize("how", ["is_up", "silent"])
def test_a_check_without_a_broker_names_its_address(
    there: Site, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_braintrust_evals.distribution.owner.dispatcher.CHECK_SECONDS", 0.3)
    setattr(there.broker, how, how == "silent")
    with pytest.raises(BrokerError, match="the broker at memory:// does not answer"):
        in_time(there.dispatcher.check)


def test_a_check_does_not_wait_for_the_next_attempt_to_connect(
    there: Site, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_braintrust_evals.distribution.messaging.links.MIN_PAUSE", 100.0)
    monkeypatch.setattr("flask_braintrust_evals.distribution.messaging.links.MAX_PAUSE", 100.0)
    monkeypatch.setattr("flask_braintrust_evals.distribution.owner.dispatcher.CHECK_SECONDS", 0.3)
    there.broker.is_up = False
    with pytest.raises(BrokerError):
        in_time(there.dispatcher.check)
    there.broker.is_up = True
    monkeypatch.setattr("flask_braintrust_evals.distribution.owner.dispatcher.CHECK_SECONDS", 5.0)
    in_time(there.dispatcher.check_broker)


def test_nor_for_a_connection_that_is_made_anew_without_having_failed(
    there: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MIN_PAUSE", 100.0)
    monkeypatch.setattr(links, "MAX_PAUSE", 100.0)
    in_time(there.dispatcher.check_broker)
    there.dispatcher._receiver.reconnect()
    in_time(there.dispatcher.check_broker)


def test_a_check_passes_although_an_idle_connection_has_died(
    there: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_braintrust_evals.distribution.owner.dispatcher.SILENT_SECONDS", 0.2)
    in_time(there.dispatcher.check_broker)
    there.broker.cut_off()
    in_time(there.dispatcher.check_broker)


def test_fifty_checks_at_a_time_pass_and_keep_the_connection(there: Site, script: Script) -> None:
    owner = there.dispatcher._state.reply_to
    in_time(there.dispatcher.check_broker)
    script.hello(owner, 1, 0, "e")
    eventually(lambda: there.dispatcher._state.has_heard(60))
    failures: list[BaseException] = []
    connections = there.broker.connections

    def check() -> None:
        try:
            there.dispatcher.check()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=check) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert failures == []
    assert there.broker.connections == connections


@pytest.mark.slow
def test_a_silent_broker_is_connected_to_again(there: Site, script: Script) -> None:
    running = Running(there, 1)
    order, case = script.case()
    connections = there.broker.connections
    there.broker.silent = True
    eventually(lambda: there.broker.connections > connections)
    there.broker.silent = False
    again, second = in_time(script.case)  # the broker may have lost the first
    script.finish(again, second)
    assert running.result().error is None


def test_a_broker_whose_messages_wait_behind_others_is_not_taken_to_be_silent() -> None:
    with site(EVALUATOR, workers=0, lease=0.6) as there:
        script = Script(there.broker)
        running = Running(there, 1)
        order, case = script.case()
        connections = there.broker.connections
        there.broker.silent = True
        report = {"process": script.process, "reports": [[*Report("ask", "another")]]}
        for _ in range(10):
            there.dispatcher._receiver.receive(script._writer.write("report", report))
            time.sleep(0.1)
        assert there.broker.connections == connections
        there.broker.silent = False
        script.finish(order, case)
        assert running.result().error is None


@pytest.mark.parametrize(
    ("input", "together"), [(1, 1), (NOISE[:180_000], 16)], ids=["one by one", "too large together"]
)
def test_workers_hear_of_a_process_while_many_of_its_orders_are_sent(
    monkeypatch: pytest.MonkeyPatch, input: Any, together: int
) -> None:
    monkeypatch.setattr(OrderedRun, "batch_size", lambda run, slots: together)
    with site(EVALUATOR, workers=0, lease=0.6) as there:
        script = Script(there.broker)
        there.broker.delay = 0.05
        running = Running(there, *[input] * 16, max_concurrency=16)
        cases: list[Any] = []
        while len(cases) < 16:  # the first ones may fit into one order, if no others wait yet
            order = script.order()
            cases += [(order, each) for each in order["cases"]]
        sent = [kind for kind, _ in there.broker.log if kind != "report"]
        places = [place for place, kind in enumerate(sent) if kind == "order"]
        assert "notice" in sent[places[4] : places[-1]]
        there.broker.delay = 0.0
        for each in cases:
            script.finish(*each)
        assert len(results_of(running.ends())) == 16


@pytest.mark.slow
def test_a_broker_that_comes_back_empty_costs_nothing(there: Site, script: Script) -> None:
    running = Running(there, *range(4))
    first = [script.case() for _ in range(4)]
    script.about(*first[0], "started")
    eventually(lambda: there.dispatcher._state.runs[first[0][0]["run"]].cases[0].started_at)
    connections = there.broker.connections
    there.broker.is_up = False
    eventually(lambda: there.dispatcher._sender.error and there.dispatcher._receiver.error)
    there.broker.restart_empty()
    order = first[0][0]
    eventually(lambda: there.broker.connections > connections)
    while there.broker.orders.empty():
        script.say(order["owner"], Report("alive", content=[[order["run"], 0, 1]]))
        time.sleep(0.05)
    again = [script.case() for _ in range(3)]
    assert [(case["number"], case["attempt"]) for _, case in again] == [(1, 2), (2, 2), (3, 2)]
    for each in (first[0], *again):
        script.finish(*each)
    assert [result.error for result in results_of(running.ends())] == [None] * 4


def test_what_a_notice_says_is_not_lost_with_a_connection(
    there: Site, script: Script, notices: Notices
) -> None:
    running = Running(there, 1)
    order, case = script.case()
    there.broker.lost_notices = 1
    script.about(order, case, "ask")
    notices.wait_for("go", [order["run"], 0, 1])
    script.finish(order, case)
    running.ends()


def test_quick_cases_are_sent_together_and_lost_ones_alone(there: Site, script: Script) -> None:
    running = Running(there, *range(40), max_concurrency=20)
    first_order, first = script.case()
    script.hello(first_order["owner"], 2, 0, "e")
    rest = [script.case() for _ in range(19)]
    there.broker.takes_orders.clear()
    for order, case in [(first_order, first), *rest]:
        result = {**failed_outcome(CaseError("E", "")), "duration": 0.001}
        script.about(order, case, "finished", result)
    waiting = there.dispatcher._state.runs[first_order["run"]].cases
    eventually(lambda: sorted(waiting) == [*range(20, 40)])
    there.broker.takes_orders.set()
    order = script.order()
    sizes = [len(order["cases"])]
    for case in order["cases"]:
        script.about(order, case, "lost", "killed")
    seen: set[tuple[int, int]] = set()
    while len(seen) < 20:
        order = script.order()
        sizes.append(len(order["cases"]))
        again = [case for case in order["cases"] if case["attempt"] > 1]
        assert not again or len(order["cases"]) == 1
        for case in order["cases"]:
            seen.add((case["number"], case["attempt"]))
            script.finish(order, case)
    assert max(sizes) > 1
    assert len(results_of(running.ends())) == 40


def test_only_those_that_are_too_large_together_are_sent_one_by_one() -> None:
    there = MemoryBroker()
    writer = MessageWriter(SECRET, 3000)
    state = OwnerState(there, 10.0)
    sender = OrderSender(state, there, writer, math.inf, lambda: None)
    sender._next_beat = math.inf
    sizes: list[int] = []

    class Sending:
        def send_order(self, order: Message) -> None:
            sizes.append(len(writer.read("order", order)["cases"]))

    def waiting_cases(name: str, count: int, input: str) -> list[OpenCase]:
        run = OrderedRun(RunOrder("o", name, "e", {}), 100, lambda spans: None)
        run.note_duration(0.001)
        orders = [CaseOrder(n, 1, n, 0, new_ids(), {"input": input}) for n in range(count)]
        cases = [OpenCase(run, order, Job()) for order in orders]
        for case in cases:
            state.add(case)
        return cases

    large = waiting_cases("large", 4, NOISE[:2000])
    waiting = deque([*large, *waiting_cases("small", 10, "")])
    sending: Any = Sending()
    sender.deliver(sending, waiting)
    assert (sizes, len(waiting)) == ([], 14)
    sender.deliver(sending, waiting)
    large[0].run.is_cancelled = True
    while waiting:
        sender.deliver(sending, waiting)
    assert sizes == [1, 1, 9]

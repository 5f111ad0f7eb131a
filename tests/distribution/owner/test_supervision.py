"""What becomes of attempts that nothing is heard of."""

from __future__ import annotations

from typing import Any

import pytest

from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, RunOrder
from flask_braintrust_evals.distribution.messaging.transport import WorkerInfo
from flask_braintrust_evals.distribution.owner import attempts, known_workers, supervision
from flask_braintrust_evals.distribution.owner.attempts import CaseLostError, OpenCase, OrderedRun
from flask_braintrust_evals.distribution.owner.known_workers import KnownWorkers
from flask_braintrust_evals.distribution.owner.owner_state import OwnerState
from flask_braintrust_evals.distribution.owner.supervision import Supervision
from flask_braintrust_evals.errors import WorkersError
from flask_braintrust_evals.tracing.span_ids import new_ids
from tests.distribution.clock import clock_of
from tests.distribution.memory import MemoryBroker

LEASE = 15.0
BEAT = 5.0


class Owner:
    """A run of an owner, its supervision, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock_of(monkeypatch, attempts, known_workers, supervision)
        self.workers = KnownWorkers()
        self.supervision = Supervision(LEASE, self.workers, "celery worker", "cases", "redis://b")
        self.run = OrderedRun(RunOrder("o", "r", "e", {}), 10, lambda spans: None)
        self.is_heard = True

    def sent(self, number: int, *, alone: bool = True) -> OpenCase:
        """A case whose order is with the broker."""
        case = OpenCase(self.run, CaseOrder(number, 1, number, 0, new_ids(), {}), Job())
        self.run.cases[number] = case
        self.send(case, alone=alone)
        return case

    def send(self, case: OpenCase, *, alone: bool = True) -> None:
        case.sent, case.sent_at, case.is_alone = case.attempt, self.clock.now, alone

    def started(self, number: int, process: str = "h/1", *, alone: bool = True) -> OpenCase:
        case = self.sent(number, alone=alone)
        self.supervision.note_started(case, process)
        return case

    def check(self) -> Any:
        return self.supervision.check([self.run])

    def pass_seconds(self, seconds: float, *alive: OpenCase) -> Any:
        """Let time pass; meanwhile the owner hears itself, and of some cases. What was done."""
        done = supervision.Actions()
        while seconds > 0:
            step = min(1.0, seconds)
            seconds -= step
            self.clock.pass_seconds(step)
            if self.is_heard:
                self.supervision.heard_itself_at = self.clock.now
            for case in alive:
                case.heard_at, case.overtaken_at = self.clock.now, None
            now = self.check()
            done.resend.extend(now.resend)
            done.drop.extend(now.drop)
            done.fail.extend(now.fail)
        return done

    def hello(self, busy: int, evaluator: str = "e", process: str = "h/1") -> None:
        info = WorkerInfo(process[0], process, "threads", 1, busy, (evaluator,), "0", "")
        self.workers.note(process)
        self.workers.note_hello(info)


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> Owner:
    return Owner(monkeypatch)


def test_a_silent_attempt_is_lost_after_the_lease_and_sent_again(owner: Owner) -> None:
    case = owner.started(0)
    assert owner.pass_seconds(LEASE).resend == []
    done = owner.pass_seconds(1)
    assert (done.resend, done.drop, done.fail) == ([case], [(case, 1)], [])
    assert (case.attempt, case.losses, case.started_at) == (2, 1, None)


def test_one_that_its_process_names_is_not_lost(owner: Owner) -> None:
    case = owner.started(0)
    assert owner.pass_seconds(LEASE * 4, case).resend == []
    assert case.losses == 0


def test_after_three_losses_the_case_fails_alone(owner: Owner) -> None:
    case, other = owner.started(0), owner.started(1)
    for loss in (1, 2):
        assert owner.pass_seconds(LEASE + 1, other).resend == [case]
        assert case.losses == loss
        owner.send(case)
        owner.supervision.note_started(case, "h/2")
    done = owner.pass_seconds(LEASE + 1, other)
    ((failed, error),) = done.fail
    assert failed is case
    assert isinstance(error, CaseLostError)
    assert "was lost 3 times" in str(error) and "h/2 was not heard of for 15 s" in str(error)


def test_a_silent_broker_counts_no_loss(owner: Owner) -> None:
    case, waiting = owner.started(0), owner.sent(1)
    owner.pass_seconds(1, case)
    owner.is_heard = False
    done = owner.pass_seconds(300)
    assert (done.resend, done.fail, case.losses) == ([], [], 0)
    assert waiting.attempt == 1


def test_the_lease_begins_anew_when_a_silent_broker_speaks_again(owner: Owner) -> None:
    case = owner.started(0)
    owner.pass_seconds(1, case)
    owner.is_heard = False
    owner.pass_seconds(100)
    owner.is_heard = True
    owner.supervision.note_reconnected()
    owner.pass_seconds(LEASE * 2 / 3 - 1)  # what had been said meanwhile arrives now
    case.heard_at = owner.clock.now
    owner.pass_seconds(2, case)
    assert (case.attempt, case.losses) == (1, 0)


def test_after_a_reconnection_what_nobody_names_is_sent_again_and_not_counted(owner: Owner) -> None:
    running, silent, waiting = owner.started(0), owner.started(1), owner.sent(2)
    owner.supervision.note_reconnected()
    owner.clock.pass_seconds(1)
    later = owner.sent(3)
    done = owner.pass_seconds(LEASE * 2 / 3, running)
    assert done.resend == [silent, waiting]
    assert [case.losses for case in (running, silent, waiting)] == [0, 0, 0]
    assert (running.attempt, later.attempt) == (1, 1)


def test_so_it_is_if_the_connection_is_lost_again_and_again(owner: Owner) -> None:
    running, silent, waiting = owner.started(0), owner.started(1), owner.sent(2)
    sent_again = []
    for _ in range(4):
        owner.supervision.note_reconnected()
        done = owner.pass_seconds(LEASE / 2, running)
        sent_again += done.resend
        for case in done.resend:
            owner.send(case)
    assert sent_again == [silent, waiting]
    # What was sent before the last time may be lost.
    assert owner.pass_seconds(LEASE, running).resend == [silent, waiting]
    assert (running.attempt, silent.losses, waiting.losses) == (1, 0, 0)


def test_what_runs_may_be_named_after_the_last_of_two_reconnections(owner: Owner) -> None:
    running = owner.started(0)
    owner.supervision.note_reconnected()
    owner.pass_seconds(LEASE * 2 / 3 - 1)
    owner.supervision.note_reconnected()
    assert owner.pass_seconds(LEASE / 3).resend == []
    assert owner.pass_seconds(LEASE, running).resend == []


def test_one_that_later_ones_have_overtaken_is_sent_again(owner: Owner) -> None:
    case = owner.sent(0)
    owner.clock.pass_seconds(1)
    later = owner.started(1)
    done = owner.pass_seconds(LEASE + 2, later)
    assert (done.resend, case.losses) == ([case], 0)


def test_one_that_waits_in_a_process_is_not_overtaken(owner: Owner) -> None:
    case = owner.sent(0)
    owner.clock.pass_seconds(1)
    later = owner.started(1)
    assert owner.pass_seconds(LEASE * 3, later, case).resend == []


def test_the_last_ones_are_sent_again_if_workers_wait_for_cases(owner: Owner) -> None:
    case = owner.sent(0)  # the worker died before it could say that it starts it
    owner.hello(busy=0)
    owner.pass_seconds(LEASE - BEAT)
    owner.hello(busy=0)
    owner.pass_seconds(BEAT)
    owner.hello(busy=0)
    done = owner.pass_seconds(1)
    assert (done.resend, done.drop, case.losses) == ([case], [(case, 1)], 0)


def test_each_further_time_takes_twice_as_long(owner: Owner) -> None:
    case = owner.sent(0)
    times: list[float] = []
    began = owner.clock.now
    owner.hello(busy=1, process="h/2")  # it may have the case in the end
    for _ in range(200):
        owner.hello(busy=0)
        owner.hello(busy=1, process="h/2")
        if owner.pass_seconds(1).resend:
            times.append(owner.clock.now - began)
            owner.send(case)
            began = owner.clock.now
    assert times[:3] == [16, 31, 61]


def test_a_case_fails_that_nobody_takes_although_all_workers_wait_for_cases(owner: Owner) -> None:
    case = owner.sent(0)
    began = owner.clock.now
    done = owner.check()
    while not done.fail:
        owner.hello(busy=0)
        done = owner.pass_seconds(1)
        if done.resend:
            owner.send(case)
        assert owner.clock.now - began < 310
    assert owner.clock.now - began > 300
    ((failed, error),) = done.fail
    assert failed is case
    assert isinstance(error, WorkersError)
    assert "take none from the queue 'cases'" in str(error)


def test_runs_fail_if_the_broker_stays_away(owner: Owner) -> None:
    first, second = owner.started(0), owner.started(1)
    owner.pass_seconds(50, first, second)
    owner.is_heard = False
    owner.clock.pass_seconds(299)
    assert owner.supervision.check_broker([owner.run]) == []
    owner.clock.pass_seconds(2)
    failures = owner.supervision.check_broker([owner.run])
    assert [case for case, _ in failures] == [first, second]
    assert str(failures[0][1]) == (
        "the broker at redis://b has passed no message on for 300 seconds, and the run cannot go"
        " on without it"
    )


def test_a_run_that_has_just_begun_does_not_fail_for_a_silence_before_it(owner: Owner) -> None:
    owner.supervision.heard_itself_at = owner.clock.now - 10_000
    owner.sent(0)
    assert owner.supervision.check_broker([owner.run]) == []


def test_nor_does_one_whose_first_case_comes_late() -> None:
    state = OwnerState(MemoryBroker(), LEASE)
    run = OrderedRun(RunOrder(state.reply_to, "r", "e", {}), 10, lambda spans: None)
    run.began_at -= 10_000
    state.add(OpenCase(run, CaseOrder(0, 1, 0, 0, new_ids(), {}), Job()))
    assert state.supervision.check_broker([run]) == []


@pytest.mark.parametrize(("busy", "evaluator"), [(1, "e"), (0, "another")])
def test_not_if_workers_are_busy_or_have_other_evaluators(
    owner: Owner, busy: int, evaluator: str
) -> None:
    owner.sent(0)
    for _ in range(40):
        owner.hello(busy, evaluator)
        assert owner.pass_seconds(5).resend == []


def test_not_if_others_start_meanwhile(owner: Owner) -> None:
    case = owner.sent(0)
    for number in range(1, 10):
        owner.hello(busy=0)
        owner.pass_seconds(BEAT, case)
        owner.started(number)
    assert case.attempt == 1


def test_without_any_worker_waiting_cases_fail(owner: Owner) -> None:
    case, later = owner.sent(0), owner.sent(1)
    done = owner.pass_seconds(supervision.NO_WORKER_SECONDS + 1)
    assert [each for each, _ in done.fail] == [case, later]
    error = done.fail[0][1]
    assert isinstance(error, WorkersError)
    assert "'cases'" in str(error) and "`celery worker`" in str(error)


def test_not_while_any_worker_is_heard_of(owner: Owner) -> None:
    owner.sent(0)
    for _ in range(10):
        owner.hello(busy=1)
        assert owner.pass_seconds(10).fail == []


def test_refusals_are_sent_again_after_a_pause_until_all_workers_have_refused_for_long(
    owner: Owner,
) -> None:
    case = owner.sent(0)
    began = owner.clock.now
    failure = None
    while failure is None:
        failure = owner.supervision.note_refused(case, "worker x has other code", "h/1")
        if failure is None:
            assert owner.check().resend == []
            assert owner.pass_seconds(1).resend == [case]
            owner.send(case)
    assert str(failure) == "worker x has other code"
    assert 30 < owner.clock.now - began < 33
    assert case.losses == 0


def test_a_start_ends_the_time_of_refusals(owner: Owner) -> None:
    case = owner.sent(0)
    assert owner.supervision.note_refused(case, "no", "h/1") is None
    owner.pass_seconds(29)
    owner.started(1)
    owner.pass_seconds(29)
    assert owner.supervision.note_refused(case, "no", "h/1") is None
    owner.pass_seconds(29)
    assert owner.supervision.note_refused(case, "no", "h/1") is None


def test_a_worker_with_other_code_does_no_harm_while_others_are_at_work(owner: Owner) -> None:
    busy, case = owner.started(0), owner.sent(1)
    for _ in range(100):
        assert owner.supervision.note_refused(case, "no", "h/1") is None
        assert owner.pass_seconds(1, busy).fail == []


def test_refusals_do_not_fail_a_run_while_a_worker_is_busy_that_may_have_its_code(
    owner: Owner,
) -> None:
    case = owner.sent(0)

    def refused(*busy: str) -> WorkersError | None:
        """What comes of a minute of refusals of "h", while processes are busy."""
        for _ in range(60):
            owner.hello(0)
            for process in busy:
                owner.hello(1, "of others" if process == "o/1" else "e", process)
            failure = owner.supervision.note_refused(case, "no", "h/1")
            assert owner.supervision.seems_stalled([owner.run]), "they are asked what they do"
            if failure is not None:
                return failure
            owner.pass_seconds(1)
            owner.send(case)
        return None

    assert refused("a/1") is None
    assert refused("a/1", "h/2") is None
    owner.supervision.note_refused(case, "no", "a/1")
    assert refused("a/1", "h/2", "o/1") is not None, "the code of 'h', and other evaluators"
    owner.pass_seconds(1)
    assert refused("a/2") is None, "'a' has been started again"
    owner.pass_seconds(known_workers.HEARD_LATELY)
    assert owner.supervision.note_refused(case, "no", "h/1") is not None, "it says nothing more"


def test_a_worker_that_is_no_longer_busy_has_time_to_take_what_others_refuse(owner: Owner) -> None:
    case = owner.sent(0)
    for _ in range(60):
        owner.hello(1, "e", "a/1")
        assert owner.supervision.note_refused(case, "no", "h/1") is None
        owner.pass_seconds(1)
        owner.send(case)
    owner.hello(0, "e", "a/1")
    assert owner.supervision.note_refused(case, "no", "h/1") is None, "the other one is faster"


def test_those_behind_a_case_that_killed_its_process_are_not_to_blame(owner: Owner) -> None:
    started, behind = owner.started(0, alone=False), owner.sent(1, alone=False)
    for case in (started, behind):
        assert owner.supervision.note_lost(case, "killed") is None
    assert (started.losses, behind.losses) == (1, 0)


def test_one_that_kills_its_process_before_its_start_is_reported_does_not_go_on_for_ever(
    owner: Owner,
) -> None:
    case = owner.sent(0)
    for _ in range(2):
        assert owner.supervision.note_lost(case, "killed") is None
        owner.send(case)
    assert isinstance(owner.supervision.note_lost(case, "killed"), CaseLostError)


def test_attempts_that_workers_give_up_are_no_losses_and_end_all_the_same(owner: Owner) -> None:
    case = owner.sent(0)
    for _ in range(attempts.MAX_GIVEN_UP - 1):
        owner.supervision.note_started(case, "h/1")
        assert owner.supervision.note_given_up(case, "it had heard nothing") is None
        owner.send(case)
    assert case.losses == 0
    assert str(owner.supervision.note_given_up(case, "it had heard nothing")) == (
        "workers gave this case up 10 times; the last time it had heard nothing"
    )


def test_nothing_is_done_about_a_run_that_was_cancelled(owner: Owner) -> None:
    owner.started(0), owner.sent(1)
    owner.run.is_cancelled = True
    done = owner.pass_seconds(100)
    assert (done.resend, done.fail, done.drop) == ([], [], [])


def test_one_that_was_not_sent_yet_is_left_alone(owner: Owner) -> None:
    case = owner.sent(0)
    case.sent_at = None
    owner.started(1)
    assert owner.pass_seconds(LEASE + 1, owner.run.cases[1]).resend == []


def test_processes_that_were_not_heard_of_for_long_are_forgotten(owner: Owner) -> None:
    for number in range(100):
        info = WorkerInfo("h", f"h/{number}", "prefork", 1, 0, ("e",), "0", "")
        assert owner.workers.note(info.process)
        owner.workers.note_hello(info)
        assert not owner.workers.note(info.process)
        owner.clock.pass_seconds(10)
    assert owner.workers.slots() <= 7
    assert sum(len(each) for each in vars(owner.workers).values() if isinstance(each, dict)) < 45

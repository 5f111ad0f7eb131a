"""How workers and the consumer of a run take turns under gevent, without gevent itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.turns import Turn, TurnWait
from flask_braintrust_evals.engine.running import event_flow
from flask_braintrust_evals.engine.running.event_flow import MAX_SLICE, EventFlow
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import (
    CaseProgress,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseRef
from tests.support import in_time

REF = CaseRef("id", 0, 0, None)
STARTED = CaseStarted(REF, EvalCase("in"))
PROGRESS = CaseProgress(REF, {"data": "1"})
RESULT = TaskFinished(REF, b"1", None)


class Flow(EventFlow):
    """One whose clock and whose consumer's wait for its turn are the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *meanwhile: Event) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.turns: list[Turn] = []
        self._meanwhile = meanwhile
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.pauses.append)
        monkeypatch.setattr(event_flow, "time", clock)
        monkeypatch.setattr(event_flow, "is_patched", lambda: True)
        monkeypatch.setattr(event_flow, "wait_for_turn", self._wait)
        monkeypatch.setattr(TurnWait, "move_to", lambda _, turn: self.turns.append(turn))
        super().__init__(None)

    def emit(self, event: Event, after: float = 2 * MAX_SLICE) -> None:
        self.now += after
        self.emitter(0)(event)

    def _wait(self, turn: Turn, wait: Any) -> None:
        self.turns.append(turn)
        for event in self._meanwhile:
            self.emit(event)


def test_workers_let_the_consumer_notice_events_and_then_leave_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = Flow(monkeypatch, RESULT, RESULT, PROGRESS)
    flow.emit(RESULT)
    assert flow.pauses == []
    flow.emit(RESULT)
    assert flow.pauses == [0]
    flow.emit(RESULT, after=MAX_SLICE / 2)
    assert flow.pauses == [0]  # once in a slice
    flow.emit(RESULT)
    assert flow.pauses == [0, 0]

    events, _ = flow.take()
    assert len(events) == 7  # those that came while it waited for its turn, too
    assert flow.pauses == [0, 0, 0]  # for the progress: its task may go on for long

    flow.emit(RESULT)
    flow.emit(RESULT)
    assert flow.pauses == [0, 0, 0, 0]


def test_the_events_of_one_case_of_each_worker_may_wait() -> None:
    flow = EventFlow(None)
    flow.make_room_for(40)
    emit = flow.emitter(0)
    in_time(lambda: [emit(RESULT) for _ in range(3 * 40)])
    assert len(flow.take()[0]) == 3 * 40


def test_a_first_result_moves_a_consumer_that_waits_for_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = Flow(monkeypatch, RESULT, RESULT)
    flow.emit(STARTED)
    flow.take()
    assert flow.turns == [Turn.CONSUME, Turn.FIRST_RESULT]
    flow.emit(RESULT)
    flow.take()
    assert flow.turns[2:] == [Turn.CONSUME]

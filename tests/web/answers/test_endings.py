"""A process that exits waits for the runs that still deliver their spans, but not for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.engine.running.run import RELEASE_AFTER, Run
from flask_braintrust_evals.engine.running.run_state import RunState
from flask_braintrust_evals.web.answers.endings import Endings
from flask_braintrust_evals.web.answers.stopping import GracePeriod
from tests.standin import StandIn
from tests.support import PATIENCE, in_time
from tests.web.support import CASES, Api, api_of, echo, make_app


class Ended(Run):
    """A run that has ended, or not."""

    def __init__(self, state: RunState = RunState.CANCELLED) -> None:
        self.state = state


def grace() -> GracePeriod:
    return GracePeriod(heartbeat=5.0, worker=None)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Endings:
    """Those of a process of their own, which nothing waits for when the tests end."""
    monkeypatch.setattr("atexit.register", lambda function: None)
    return Endings()


def test_it_waits_until_all_is_delivered(known: Endings) -> None:
    remove = known.add(Ended(), grace())
    waiting = threading.Thread(target=known.wait)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    remove()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_it_waits_for_no_run_that_is_under_way_and_for_none_that_is_done(known: Endings) -> None:
    known.add(Ended(RunState.RUNNING), grace())
    known.add(Ended(), grace())()
    began = time.monotonic()
    in_time(known.wait)
    assert time.monotonic() - began < RELEASE_AFTER


def test_many_that_cannot_deliver_take_no_longer_than_one(
    known: Endings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_braintrust_evals.web.answers.endings.RELEASE_AFTER", 0.2)
    for _ in range(100):
        known.add(Ended(), grace())
    began = time.monotonic()
    in_time(known.wait)
    assert 0.2 <= time.monotonic() - began < 100 * 0.2 / 2


def test_a_forked_child_waits_for_nothing(known: Endings) -> None:
    known.add(Ended(), grace())
    known.forget()
    began = time.monotonic()
    in_time(known.wait)
    assert time.monotonic() - began < RELEASE_AFTER


def test_a_run_that_has_nothing_to_deliver_is_not_waited_for(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Run] = []

    class Noting(Endings):
        def add(self, run: Run, grace: GracePeriod) -> Callable[[], None]:
            noted.append(run)
            return lambda: None

    monkeypatch.setattr("flask_braintrust_evals.web.answers.eval_answer.ENDINGS", Noting())
    alone = Api(make_app(Evaluator("alone", echo), BRAINTRUST_EVALS_AUTH="none"), token=None)
    assert alone.outputs(name="alone", data=CASES) == ["a", "b"]
    assert not noted
    recorded = api_of(cloud, Evaluator("recorded", echo))
    assert recorded.outputs(name="recorded", data=CASES) == ["a", "b"]
    assert len(noted) == 1

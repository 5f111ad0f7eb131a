"""What ``flask evals run`` does and says when it is interrupted while a run ends."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.cli.running.outcome import Outcome, _consume, _deliver
from flask_braintrust_evals.cli.terminal.interrupts import exit_on_interrupt
from flask_braintrust_evals.engine.values.results import EvalResult
from flask_braintrust_evals.engine.values.summary import RunSummary

HINT = "press Ctrl-C again"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Interrupted:
    """A run, the delivery of whose spans is interrupted a number of times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.timeouts: list[float | None] = []

    def end(self, timeout: float | None) -> None:
        self.timeouts.append(timeout)
        if len(self.timeouts) <= self.times:
            raise KeyboardInterrupt

    def wait_for_uploads(self, timeout: float) -> None:
        pass  # there are none


@pytest.mark.parametrize(
    ("times", "attempts", "hints"), [(0, 1, 0), (1, 2, 1), (2, 3, 2), (3, 3, 2)]
)
def test_ctrl_c_is_asked_for_only_while_it_still_shortens_something(
    monkeypatch: pytest.MonkeyPatch, times: int, attempts: int, hints: int
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    prepared: Any = Interrupted(times)
    outcome = Outcome(EvalResult("e", [], RunSummary()))
    _deliver(prepared, outcome)
    assert len(prepared.timeouts) == attempts
    assert terminal.getvalue().count(HINT) == hints
    assert outcome.interrupted == (times > 0)


class Ending:
    """A run with no events, which gets SIGTERM when its last batch has been read."""

    evaluator, size_hint = "e", None

    @property
    def run(self) -> Ending:
        return self

    def batches(self) -> Iterator[list[Any]]:
        yield []
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_after_the_last_event_is_not_lost() -> None:
    prepared: Any = Ending()
    outcome = Outcome(EvalResult("e", [], RunSummary()))
    with exit_on_interrupt():
        _consume(prepared, outcome)
    assert (outcome.signal, outcome.error) == (signal.SIGTERM, "interrupted by SIGTERM")

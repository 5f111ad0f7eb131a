"""A run as the command line has it: with a bar, to its end or until Ctrl-C."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import click

from flask_braintrust_evals.engine.values.events import CaseFinished, Event, RunFailed
from flask_braintrust_evals.engine.values.results import CaseResult, EvalResult
from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.runs.prepared import PreparedRun

ROUNDING = 1e-9
"""By how much a mean may be below its limit without being told: sums of floats are not exact."""
GRACE = 5.0
"""Seconds that running tasks have to end after Ctrl-C."""
CANCELLED = "CancelledError"
"""How coroutines end that are cancelled."""
AT_ONCE = 0.5
"""Seconds that may be taken to deliver spans where somebody wants to leave."""
IDLE_AFTER = 0.2
"""Seconds of silence after which to look whether Ctrl-C was pressed."""


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        result: of the cases that were done.
        error: why the run ended early; ``None`` where it did not.
        interrupted: whether that was Ctrl-C.
        too_low: what is wrong with each score that is not as high as it must be, by its name.
        experiment: ``projectName``, ``experimentName``, ``experimentUrl`` and so on of the
            experiment that it is recorded in; ``None``: it is not recorded.
        comparison: Braintrust's, with an earlier experiment; empty where there is none.
        lost_spans: how many spans Braintrust did not take.
    """

    result: EvalResult
    error: str | None = None
    interrupted: bool = False
    too_low: dict[str, str] = field(default_factory=dict)
    experiment: Mapping[str, Any] | None = None
    comparison: Mapping[str, Any] = field(default_factory=dict)
    lost_spans: int = 0

    def check(self, limits: Mapping[str, float]) -> None:
        """Compare the means of scores with the least that they must be."""
        for name, limit in limits.items():
            score = self.result.scores.get(name)
            mean = score.mean if score is not None else None
            if mean is None:
                self.too_low[name] = (
                    f"no case has the score {name}, which must be {limit:g} or more"
                )
            elif mean < limit - ROUNDING:
                self.too_low[name] = f"{name} is {mean:.4f}, which must be {limit:g} or more"

    @property
    def is_good(self) -> bool:
        """Whether nothing failed, nothing was lost, and no score is too low."""
        summary = self.result.summary
        failed = self.error or summary.failed or summary.scorer_errors or self.lost_spans
        return not (failed or self.too_low)


def run(prepared: PreparedRun) -> Outcome:
    """Run an evaluator, showing its progress on standard error where that is a terminal.

    Args:
        prepared: made with :data:`IDLE_AFTER`.
    """
    recording = prepared.recording
    outcome = Outcome(
        EvalResult(prepared.evaluator, [], RunSummary()),
        experiment=recording.description if recording.experiment is not None else None,
    )
    try:
        _listen(prepared, outcome)
        _deliver(prepared, outcome)
        if not outcome.error and not outcome.result.results:
            outcome.error = "there was no case"
        if not outcome.error:
            outcome.comparison = recording.comparison()
    except KeyboardInterrupt:  # the second, while cases were to end
        outcome.interrupted, outcome.error = True, "interrupted"
        prepared.end(AT_ONCE)
    outcome.lost_spans = prepared.lost_spans
    outcome.result.results.sort(key=lambda each: (each.ref.index, each.ref.trial_index))
    return outcome


def _listen(prepared: PreparedRun, outcome: Outcome) -> None:
    run, until = prepared.run, math.inf
    with (
        _ctrl_c() as pressed,
        _bar(prepared.evaluator, prepared.size_hint) as bar,
        closing(run.batches()) as batches,
    ):
        for batch in batches:
            bar.update(sum(_take(event, outcome) for event in batch))
            if pressed.is_set() and not outcome.interrupted:
                outcome.interrupted, until = True, time.monotonic() + GRACE
                run.stop()
            if time.monotonic() >= until:
                break
    if outcome.interrupted:
        outcome.error = "interrupted"
    elif outcome.error:
        run.wait_for_workers(GRACE)  # so that their spans are delivered


def _deliver(prepared: PreparedRun, outcome: Outcome) -> None:
    """Deliver the spans; each Ctrl-C leaves less time for it."""
    for limit in (None, GRACE, AT_ONCE)[outcome.interrupted :]:
        try:
            prepared.end(limit)
            return
        except KeyboardInterrupt:
            outcome.interrupted, outcome.error = True, "interrupted"
            _hint()


def _hint() -> None:
    if sys.stderr.isatty():
        click.echo("\nStopping; press Ctrl-C again to leave at once.", err=True)


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Take note of Ctrl-C, so that it breaks into nothing; pressed again, it does as always."""
    pressed = threading.Event()
    usual = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or usual is signal.SIG_IGN:  # as of what a script starts in the background
        yield pressed
        return

    def take_note(number: int, frame: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, usual)
        _hint()

    signal.signal(signal.SIGINT, take_note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, usual)


def _take(event: Event, outcome: Outcome) -> int:
    """Take in an event; return how many cases it finishes."""
    if isinstance(event, CaseFinished):
        result: CaseResult = event.result
        if outcome.interrupted and result.error and result.error.type == CANCELLED:
            return 0  # which Ctrl-C did, and not the task
        outcome.result.results.append(result)
        result.count_in(outcome.result.summary)
        return 1
    if isinstance(event, RunFailed):
        outcome.error = f"{type(event.error).__name__}: {event.error}"
    return 0


class _NoBar:
    """Where nobody sees a bar."""

    def update(self, steps: int) -> None:
        pass


def _bar(label: str, total: int | None) -> AbstractContextManager[Any]:
    if not sys.stderr.isatty():
        return nullcontext(_NoBar())
    # Of an iterable of unknown length, such as a generator, click shows how far it is, and not how
    # much is left.
    cases = {"iterable": (None for _ in ())} if total is None else {"length": total}
    return click.progressbar(**cases, label=label, file=sys.stderr, show_pos=True)

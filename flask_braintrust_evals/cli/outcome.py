"""Runs an evaluator for the command line: with a progress bar, to its end or until Ctrl-C."""

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
from flask_braintrust_evals.runs.comparison import Comparison
from flask_braintrust_evals.runs.prepared import PreparedRun

ROUNDING = 1e-9
"""Tolerance for a mean below its limit, because sums of floats are not exact."""
STOP_TIMEOUT = 5.0
"""Seconds after Ctrl-C in which running tasks may end, and then as many to deliver spans."""
EXIT_TIMEOUT = 0.5
"""Seconds after a second Ctrl-C in which spans may be delivered."""
UPLOAD_TIMEOUT = 60.0
"""Seconds that uploads of attachments may take after the last case."""
IDLE_AFTER = 0.2
"""Seconds without an event after which the run yields ``Idle``, so that Ctrl-C is noticed."""


@dataclass
class Outcome:
    """The outcome of a run.

    Attributes:
        result: the results of the cases that are done.
        error: why the run failed or ended early; ``None``: it did not.
        interrupted: whether Ctrl-C was pressed.
        too_low: a message for each score whose mean is below its limit, by the score's name.
        experiment: ``projectName``, ``experimentName``, ``experimentUrl`` and so on of the
            experiment that the run is recorded in; ``None``: it is not recorded.
        comparison: Braintrust's comparison with an earlier experiment.
        lost_spans: number of spans that could not be delivered.
    """

    result: EvalResult
    error: str | None = None
    interrupted: bool = False
    too_low: dict[str, str] = field(default_factory=dict)
    experiment: Mapping[str, Any] | None = None
    comparison: Comparison = Comparison()
    lost_spans: int = 0

    def check(self, limits: Mapping[str, float]) -> None:
        """Compare the means of scores with the limits that they must reach, by name."""
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
        """Return whether nothing failed, no span was lost, and no mean is too low."""
        summary = self.result.summary
        failed = self.error or summary.failed or summary.scorer_errors or summary.interrupted
        failed = failed or self.lost_spans
        return not (failed or self.too_low)


def run(prepared: PreparedRun) -> Outcome:
    """Run an evaluator, and show its progress on standard error if that is a terminal.

    Args:
        prepared: the run, prepared with :data:`IDLE_AFTER`.
    """
    recording = prepared.recording
    outcome = Outcome(
        EvalResult(prepared.evaluator, [], RunSummary()),
        experiment=recording.description if recording.experiment is not None else None,
    )
    try:
        _consume(prepared, outcome)
        _deliver(prepared, outcome)
        if not outcome.error and not outcome.result.results:
            outcome.error = outcome.result.summary.warning
        if not outcome.error:
            outcome.comparison = recording.comparison()
    except KeyboardInterrupt:  # a second Ctrl-C, or one while Braintrust compares experiments
        outcome.interrupted, outcome.error = True, "interrupted"
        prepared.end(EXIT_TIMEOUT)
    outcome.lost_spans = prepared.lost_spans
    outcome.result.results.sort(key=lambda each: (each.ref.index, each.ref.trial_index))
    return outcome


def _consume(prepared: PreparedRun, outcome: Outcome) -> None:
    """Receive the events of the run until its end, or until :data:`STOP_TIMEOUT` after Ctrl-C."""
    run, deadline = prepared.run, math.inf
    with (
        _catch_ctrl_c() as pressed,
        _bar(prepared.evaluator, prepared.size_hint) as bar,
        closing(run.batches()) as batches,
    ):
        for batch in batches:
            bar.update(sum(_add(event, outcome) for event in batch))
            if pressed.is_set() and not outcome.interrupted:
                outcome.interrupted, deadline = True, time.monotonic() + STOP_TIMEOUT
                run.stop()
            if time.monotonic() >= deadline:
                break
    if outcome.interrupted:
        outcome.error = "interrupted"
    elif outcome.error:
        run.wait_for_workers(STOP_TIMEOUT)  # so that their spans are delivered


def _deliver(prepared: PreparedRun, outcome: Outcome) -> None:
    """Deliver the spans. After each Ctrl-C but the last, try again with less time."""
    timeouts: list[float | None] = [STOP_TIMEOUT, EXIT_TIMEOUT]
    if not outcome.interrupted:
        timeouts.insert(0, None)
    while timeouts:
        try:
            timeout = timeouts.pop(0)
            prepared.end(timeout)
            prepared.wait_for_uploads(UPLOAD_TIMEOUT if timeout is None else timeout)
            return
        except KeyboardInterrupt:
            outcome.interrupted, outcome.error = True, "interrupted"
            if timeouts:
                _print_hint()


def _print_hint() -> None:
    if sys.stderr.isatty():
        click.echo("\nStopping; press Ctrl-C again to exit at once.", err=True)


@contextmanager
def _catch_ctrl_c() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; a second one raises :class:`KeyboardInterrupt`."""
    pressed = threading.Event()
    usual = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    is_main = threading.current_thread() is threading.main_thread()
    # A shell script makes the commands that it starts in the background ignore Ctrl-C.
    if not is_main or usual is signal.SIG_IGN:
        yield pressed
        return

    def set_event(number: int, frame: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, usual)
        _print_hint()

    signal.signal(signal.SIGINT, set_event)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, usual)


def _add(event: Event, outcome: Outcome) -> int:
    """Add an event to the outcome; return how many cases it finishes."""
    if isinstance(event, CaseFinished):
        result: CaseResult = event.result
        kept = outcome.result.interrupted if result.interrupted else outcome.result.results
        kept.append(result)
        result.count_in(outcome.result.summary)
        return 1
    if isinstance(event, RunFailed):
        outcome.error = f"{type(event.error).__name__}: {event.error}"
    return 0


class _NoBar:
    """Replaces the progress bar if standard error is not a terminal."""

    def update(self, steps: int) -> None:
        pass


def _bar(label: str, total: int | None) -> AbstractContextManager[Any]:
    if not sys.stderr.isatty():
        return nullcontext(_NoBar())
    # For an iterable of unknown length, click shows how many cases are done, and no remaining time.
    cases = {"iterable": (None for _ in ())} if total is None else {"length": total}
    return click.progressbar(**cases, label=label, file=sys.stderr, show_pos=True)

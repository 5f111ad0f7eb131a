"""Runs an evaluator for the command line: with a progress bar, to its end or until a signal."""

from __future__ import annotations

import math
import signal
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from flask_braintrust_evals.cli.judging.baseline import BaselineComparison
from flask_braintrust_evals.cli.judging.max_failures import NO_FAILURES, MaxFailures
from flask_braintrust_evals.cli.judging.shown_cases import is_failure
from flask_braintrust_evals.cli.judging.thresholds import too_low_text
from flask_braintrust_evals.cli.terminal.bar import progress_bar
from flask_braintrust_evals.cli.terminal.interrupts import catch_interrupt, print_hint, signal_of
from flask_braintrust_evals.engine.values.events import CaseFinished, Event, RunFailed
from flask_braintrust_evals.engine.values.results import CaseResult, EvalResult
from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.runs.experiments.comparison import Comparison
from flask_braintrust_evals.runs.prepared import PreparedRun
from flask_braintrust_evals.texts.suggestions import did_you_mean
from flask_braintrust_evals.tracing.case_spans import CaseSpans

STOP_TIMEOUT = 5.0
"""Seconds after a signal in which running tasks may end, and then as many to deliver spans."""
EXIT_TIMEOUT = 0.5
"""Seconds after a second signal in which spans may be delivered."""
UPLOAD_TIMEOUT = 60.0
"""Seconds that uploads of attachments may take after the last case."""
IDLE_AFTER = 0.2
"""Seconds without an event after which the run yields ``Idle``, so that signals are noticed."""

MAX_SPANS_BYTES = 50_000_000
"""Bytes of the spans that are kept of a run; of later cases, they are only counted."""


@dataclass
class Outcome:
    """The outcome of a run. It is good unless there is something in :attr:`problems`.

    Attributes:
        result: the results of the cases that are done.
        parameters: the values of the parameters that were given.
        max_concurrency: cases at a time.
        started: when the run began, in UTC, as ISO 8601 has it.
        seconds: how long it took.
        limits: the limits that the means of scores must reach, by name.
        max_failures: how many cases may fail.
        baseline: the comparison with the results in a file.
        worse: a message for each score that is worse than it may be, by its name.
        remarks: which results are from elsewhere, and how scores have changed, a line each.
        error: why the run failed or ended early; ``None``: it did not.
        signal: the signal that has interrupted it: that of Ctrl-C, or SIGTERM; 0: none has.
        too_low: a message for each score whose mean is below its limit, by the score's name.
        experiment: ``projectName``, ``experimentName``, ``experimentUrl`` and so on of the
            experiment that the run is recorded in; ``None``: it is not recorded.
        comparison: Braintrust's comparison with an earlier experiment.
        lost_spans: number of spans that could not be delivered.
        id: tells the run from others.
        spans_size: about how many bytes the spans of all cases take.
    """

    result: EvalResult
    parameters: Mapping[str, Any] = field(default_factory=dict)
    max_concurrency: int = 1
    started: str = ""
    seconds: float = 0.0
    limits: Mapping[str, float] = field(default_factory=dict)
    max_failures: MaxFailures = NO_FAILURES
    baseline: BaselineComparison | None = None
    worse: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    error: str | None = None
    signal: int = 0
    too_low: dict[str, str] = field(default_factory=dict)
    experiment: Mapping[str, Any] | None = None
    comparison: Comparison = Comparison()
    lost_spans: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    spans_size: int = 0

    @classmethod
    def not_started(cls, evaluator: str, error: Exception | KeyboardInterrupt) -> Outcome:
        """Return the outcome of a run that could not be prepared, or not until a signal."""
        outcome = cls(EvalResult(evaluator, [], RunSummary()), started=_now())
        if isinstance(error, KeyboardInterrupt):
            outcome.interrupt(signal_of(error))
        else:
            outcome.error = f"{type(error).__name__}: {error}"
        return outcome

    @property
    def interrupted(self) -> bool:
        """Whether a signal has interrupted the run."""
        return bool(self.signal)

    def interrupt(self, number: int) -> None:
        """Note that a signal has interrupted the run."""
        self.signal = number
        self.error = "interrupted by SIGTERM" if number == signal.SIGTERM else "interrupted"

    def check(self, limits: Mapping[str, float]) -> None:
        """Compare the means of scores with the limits that they must reach, by name."""
        self.limits = {**self.limits, **limits}
        for name, limit in limits.items():
            score = self.result.scores.get(name)
            mean = score.mean if score is not None else None
            if mean is None:
                text = f"no case has the score {name}, which must be {limit:g} or more"
                others = [each for each, score in self.result.scores.items() if score.count]
                self.too_low[name] = f"{text}; {did_you_mean(name, others)}" if others else text
            elif text := too_low_text(name, mean, limit):
                self.too_low[name] = text

    @property
    def problems(self) -> list[str]:
        """What makes the run a bad one apart from :attr:`error` and failures, a line each."""
        failures = sum(is_failure(each) for each in self.result.results)
        too_many = self.max_failures.problem(failures, len(self.result.results))
        return [*filter(None, [too_many]), *self.too_low.values(), *self.worse.values()]

    @property
    def is_good(self) -> bool:
        """Whether no more cases failed than may, no span was lost, and no mean is too low."""
        failures = sum(is_failure(each) for each in self.result.results)
        allowed = self.max_failures.allows(failures, len(self.result.results))
        failed = self.error or self.interrupted or self.result.summary.interrupted
        return bool(allowed and not (failed or self.lost_spans or self.problems))


def run(prepared: PreparedRun) -> Outcome:
    """Run an evaluator, and show its progress on standard error if that is a terminal.

    Args:
        prepared: the run, prepared with :data:`IDLE_AFTER`.
    """
    recording = prepared.recording
    outcome = Outcome(
        EvalResult(prepared.evaluator, [], RunSummary()),
        started=_now(),
        experiment=recording.description if recording.experiment is not None else None,
    )
    began = time.monotonic()
    try:
        _consume(prepared, outcome)
        _deliver(prepared, outcome)
        if not outcome.error and not outcome.result.results:
            outcome.error = outcome.result.summary.warning
        if not outcome.error:
            outcome.comparison = recording.comparison()
    except KeyboardInterrupt as error:  # a second one, or one while Braintrust compares experiments
        outcome.interrupt(signal_of(error))
        prepared.end(EXIT_TIMEOUT)
    outcome.seconds = time.monotonic() - began
    outcome.lost_spans = prepared.lost_spans
    outcome.result.notes = prepared.notes
    outcome.result.results.sort(key=lambda each: (each.ref.index, each.ref.trial_index))
    return outcome


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _consume(prepared: PreparedRun, outcome: Outcome) -> None:
    """Receive the events of the run until its end, or until :data:`STOP_TIMEOUT` after a signal."""
    run, deadline = prepared.run, math.inf
    with (
        catch_interrupt() as got,
        progress_bar(prepared.evaluator, prepared.size_hint) as bar,
        closing(run.batches()) as batches,
    ):
        for batch in batches:
            bar.update(sum(_add(event, outcome) for event in batch))
            if got and deadline == math.inf:
                deadline = time.monotonic() + STOP_TIMEOUT
                run.stop()
            if time.monotonic() >= deadline:
                break
    if got:
        outcome.interrupt(got[0])
    elif outcome.error:
        run.wait_for_workers(STOP_TIMEOUT)  # so that their spans are delivered


def _deliver(prepared: PreparedRun, outcome: Outcome) -> None:
    """Deliver the spans. After each signal but the last, try again with less time."""
    timeouts: list[float | None] = [STOP_TIMEOUT, EXIT_TIMEOUT]
    if not outcome.interrupted:
        timeouts.insert(0, None)
    while timeouts:
        try:
            timeout = timeouts.pop(0)
            prepared.end(timeout)
            prepared.wait_for_uploads(UPLOAD_TIMEOUT if timeout is None else timeout)
            return
        except KeyboardInterrupt as error:
            outcome.interrupt(signal_of(error))
            if timeouts:
                print_hint()


def _limit_spans(result: CaseResult, outcome: Outcome) -> None:
    """Leave out the spans of a case if those of the cases before it are large already."""
    if result.spans is None:
        return
    outcome.spans_size += result.spans.size
    if outcome.spans_size > MAX_SPANS_BYTES:
        result.spans = CaseSpans(left_out=len(result.spans.spans) + result.spans.left_out)


def _add(event: Event, outcome: Outcome) -> int:
    """Add an event to the outcome; return how many cases it finishes."""
    if isinstance(event, CaseFinished):
        result: CaseResult = event.result
        _limit_spans(result, outcome)
        kept = outcome.result.interrupted if result.interrupted else outcome.result.results
        kept.append(result)
        result.count_in(outcome.result.summary)
        return 1
    if isinstance(event, RunFailed):
        outcome.error = f"{type(event.error).__name__}: {event.error}"
    return 0

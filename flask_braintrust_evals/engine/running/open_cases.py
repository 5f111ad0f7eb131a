"""The cases that a consumer has seen start, and not yet end."""

from __future__ import annotations

from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.errors import EvalsError, RunTimeoutError

_Trial = tuple[int, int]


class OpenCases:
    """Keeps the cases whose end the consumer has not received. Used by one thread."""

    def __init__(self) -> None:
        self._started: dict[_Trial, CaseStarted] = {}
        self._answered: set[_Trial] = set()

    def note(self, event: Event, summary: RunSummary) -> None:
        """Follow an event that the consumer receives; add a finished case to ``summary``."""
        if isinstance(event, CaseStarted):
            self._started[_trial(event.ref)] = event
        elif isinstance(event, TaskFinished):
            self._answered.add(_trial(event.ref))
        elif isinstance(event, CaseFinished):
            result = event.result
            trial = _trial(result.ref)
            self._started.pop(trial, None)
            self._answered.discard(trial)
            result.count_in(summary)

    def fail(self, reason: EvalsError, summary: RunSummary) -> list[Event]:
        """Return the events by which all open cases fail, and count them as interrupted."""
        kind = "TimeoutError" if isinstance(reason, RunTimeoutError) else type(reason).__name__
        events: list[Event] = []
        for trial, started in self._started.items():
            error = CaseError(kind, str(reason))
            if trial not in self._answered:
                events.append(TaskFinished(started.ref, None, error))
            result = CaseResult(started.ref, started.case, error=error, interrupted=True)
            events.append(CaseFinished(result))
            result.count_in(summary)
        return events


def _trial(ref: CaseRef) -> _Trial:
    """Return what only this trial has in the run: two cases may have the same ``upsert_id``."""
    return ref.index, ref.trial_index

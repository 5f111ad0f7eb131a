"""The cases that a consumer has seen start, and not yet end."""

from __future__ import annotations

from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError, CaseResult
from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.errors import EvalsError, RunTimeoutError

_Trial = tuple[int, int]
"""What only one trial has in the run: two cases may have the same ``upsert_id``."""


class OpenCases:
    """Keeps the cases whose end the consumer has not received. Used by one thread."""

    def __init__(self) -> None:
        self._started: dict[_Trial, CaseStarted] = {}
        self._answered: set[_Trial] = set()

    def note(self, event: Event, summary: RunSummary) -> None:
        """Follow an event that the consumer receives; add a finished case to ``summary``."""
        if isinstance(event, CaseStarted):
            ref = event.ref
            self._started[ref.index, ref.trial_index] = event
        elif isinstance(event, TaskFinished):
            ref = event.ref
            self._answered.add((ref.index, ref.trial_index))
        elif isinstance(event, CaseFinished):
            result = event.result
            trial = result.ref.index, result.ref.trial_index
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

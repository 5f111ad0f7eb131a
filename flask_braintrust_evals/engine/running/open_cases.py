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


class OpenCases:
    """Keeps the cases whose end the consumer has not received. Used by one thread."""

    def __init__(self) -> None:
        self._started: dict[str, CaseStarted] = {}
        self._answered: set[str] = set()

    def note(self, event: Event, summary: RunSummary) -> None:
        """Follow an event that the consumer receives; add a finished case to ``summary``."""
        if isinstance(event, CaseStarted):
            self._started[event.ref.id] = event
        elif isinstance(event, TaskFinished):
            self._answered.add(event.ref.id)
        elif isinstance(event, CaseFinished):
            result = event.result
            self._started.pop(result.ref.id, None)
            self._answered.discard(result.ref.id)
            result.count_in(summary)

    def fail(self, reason: EvalsError, summary: RunSummary) -> list[Event]:
        """Return the events by which all open cases fail; add these cases to ``summary``."""
        kind = "TimeoutError" if isinstance(reason, RunTimeoutError) else type(reason).__name__
        events: list[Event] = []
        for started in self._started.values():
            error = CaseError(kind, str(reason))
            if started.ref.id not in self._answered:
                events.append(TaskFinished(started.ref, None, error))
            result = CaseResult(started.ref, started.case, error=error)
            events.append(CaseFinished(result))
            result.count_in(summary)
        return events

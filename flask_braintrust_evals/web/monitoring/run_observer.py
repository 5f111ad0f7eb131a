"""The interface through which metrics and the webhook learn of runs that end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask_braintrust_evals.engine.values.results import CaseResult

from .run_record import RunRecord


class RunObserver:
    """Takes note of runs and cases that end. This one does nothing."""

    def run_ended(self, record: RunRecord) -> None:
        """Take note of a run that has ended. Does not wait, and does not raise."""

    def case_observer(self, evaluator: str) -> Callable[[CaseResult], None] | None:
        """Return what takes note of each case of a run; ``None``: nobody wants them."""
        return None


class RunObservers(RunObserver):
    """Passes on to several others what it takes note of."""

    def __init__(self, observers: Sequence[RunObserver]) -> None:
        self._observers = observers

    def run_ended(self, record: RunRecord) -> None:
        for each in self._observers:
            each.run_ended(record)

    def case_observer(self, evaluator: str) -> Callable[[CaseResult], None] | None:
        found = [each.case_observer(evaluator) for each in self._observers]
        wanted = [each for each in found if each is not None]
        if not wanted:
            return None

        def note(result: CaseResult) -> None:
            for each in wanted:
                each(result)

        return wanted[0] if len(wanted) == 1 else note

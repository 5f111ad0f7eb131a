"""A run that is ready to start, with where it is recorded and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass

from flask_braintrust_evals.cloud.spans import RunSpans
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.run import Run

from .recording import Recording


@dataclass(frozen=True)
class PreparedRun:
    """What :func:`prepare` makes. Whoever listens to the run closes it in any case.

    Attributes:
        evaluator: what is run.
        run: not begun yet.
        recording: where it is recorded.
        spans: its spans; ``None``: none are recorded.
        org_name: the organisation that it acts in; ``None``: without Braintrust.
        size_hint: how many cases and trials there are; ``None``: nobody knows yet.
    """

    evaluator: Evaluator
    run: Run
    recording: Recording
    spans: RunSpans | None = None
    org_name: str | None = None
    size_hint: int | None = None

    @property
    def lost_spans(self) -> int:
        """How many spans Braintrust did not take."""
        return 0 if self.spans is None else self.spans.lost

    def flush(self, limit: float | None = None) -> None:
        """Deliver the spans of what is done.

        Args:
            limit: seconds that it may take, where that is less than usual.
        """
        if self.spans is not None:
            self.spans.flush(limit)

    def end(self, limit: float | None = None) -> None:
        """Deliver what is left, and take no more spans. For when listener and workers have left.

        Args:
            limit: as of :meth:`flush`.
        """
        self.flush(limit)
        if self.spans is not None:
            self.spans.close()

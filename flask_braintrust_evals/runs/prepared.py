"""A run that is ready to start, with where it is recorded and the spans to deliver."""

from __future__ import annotations

from dataclasses import dataclass

from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.engine.running.run import Run

from .recording import Recording


@dataclass(frozen=True)
class PreparedRun:
    """A run made by :func:`prepare`. The caller must always close the run.

    Attributes:
        evaluator: the name of the evaluator.
        run: the run, which has not started.
        recording: where it is recorded.
        spans: its spans; ``None``: none are recorded.
        org_name: the organisation that it acts in; ``None``: without Braintrust.
        size_hint: how many cases and trials there are; ``None``: not known before they are read.
    """

    evaluator: str
    run: Run
    recording: Recording
    spans: SpanPipeline | None = None
    org_name: str | None = None
    size_hint: int | None = None

    @property
    def lost_spans(self) -> int:
        """How many spans Braintrust did not take."""
        return 0 if self.spans is None else self.spans.lost

    def flush(self, timeout: float | None = None) -> None:
        """Deliver the spans of what is done.

        Args:
            timeout: seconds that it may take, where that is less than usual.
        """
        if self.spans is not None:
            self.spans.flush(timeout)

    def end(self, timeout: float | None = None) -> None:
        """Deliver what is left, and accept no more spans. For after the last worker has ended.

        Args:
            timeout: as of :meth:`flush`.
        """
        self.flush(timeout)
        if self.spans is not None:
            self.spans.close()

"""A run that is ready to start, with its recording and its spans."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.cloud.uploads import AttachmentUploads
from flask_braintrust_evals.engine.calls.plan import CasePlan
from flask_braintrust_evals.engine.running.run import Run

from .experiments.recording import Recording


@dataclass(frozen=True)
class PreparedRun:
    """A run made by :func:`prepare`. The caller must always close the run.

    Attributes:
        evaluator: the name of the evaluator.
        run: the run, which has not started.
        recording: where the run is recorded.
        spans: records and delivers its spans; ``None``: none are recorded.
        org_name: the organisation that the run acts in; ``None``: it acts without Braintrust.
        size_hint: how many cases and trials there are; ``None``: not known before they are read.
        uploads: stores large attachments; ``None``: the run is not recorded.
        plan: the evaluator's task and scorers.
    """

    evaluator: str
    run: Run
    recording: Recording
    spans: SpanPipeline | None
    org_name: str | None
    size_hint: int | None
    uploads: AttachmentUploads | None
    plan: CasePlan

    @property
    def notes(self) -> list[str]:
        """What may be a mistake in the cases of the run, which has ended; a line each."""
        return self.plan.notes(self.run.summary)

    @property
    def lost_spans(self) -> int:
        """Number of spans that could not be delivered."""
        return 0 if self.spans is None else self.spans.lost

    def flush(self, timeout: float | None = None) -> None:
        """Deliver the spans of the cases that are done.

        Args:
            timeout: seconds that it may take; ``None``: ``BRAINTRUST_EVALS_REQUEST_TIMEOUT``, which
                is also the maximum.
        """
        if self.spans is not None:
            self.spans.flush(timeout)

    def end(self, timeout: float | None = None) -> None:
        """Deliver the remaining spans, and accept no more. Call it when the run has ended.

        Spans of tasks that are still running then are not recorded.

        Args:
            timeout: see :meth:`flush`.
        """
        if self.spans is not None:
            self.spans.close()
        self.flush(timeout)

    @property
    def delivers(self) -> bool:
        """Whether there may be spans or attachments to deliver when the run has ended."""
        return self.spans is not None or self.uploads is not None

    def after_uploads(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Return a function that has ``callback`` called when the attachments are stored.

        From then on no attachment is accepted. It waits only where the system has no thread for
        the uploads.
        """
        uploads = self.uploads
        return callback if uploads is None else functools.partial(uploads.finish, callback)

    def wait_for_uploads(self, timeout: float) -> None:
        """Wait until the attachments are stored, at most ``timeout`` seconds."""
        if self.uploads is not None:
            self.uploads.wait(timeout)

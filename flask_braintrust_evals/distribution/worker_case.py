"""Runs one case of an order, in a worker process, and reports what becomes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask_braintrust_evals.engine.running.executor import CaseJob
from flask_braintrust_evals.engine.values.attachments import AttachmentStore
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError
from flask_braintrust_evals.error_texts import stack_text
from flask_braintrust_evals.plain_values import safe_text

from .attachment_sender import AttachmentSender
from .orders import CaseOrder, RunOrder
from .reports import Report, ReportKind, error_fields, failed_outcome, outcome_of
from .worker_runs import KeptRun

logger = logging.getLogger("flask_braintrust_evals")


class WorkerCase:
    """One case, while it runs in this process.

    Args:
        order: the order of its run.
        case: its own order.
        kept: what runs it.
        put: has a report sent to the owner.
        max_attachment: bytes that an attachment may have to be sent to the owner.
        abandoned: why it counts as lost if its run is abandoned.
    """

    def __init__(
        self,
        order: RunOrder,
        case: CaseOrder,
        kept: KeptRun,
        put: Callable[[Report], None],
        max_attachment: int,
        abandoned: str,
    ) -> None:
        self._order = order
        self._case = case
        self._kept = kept
        self._put = put
        self._max_attachment = max_attachment
        self._abandoned = abandoned

    def run(self) -> None:
        """Run it. Raises only what ends the process."""
        case = self._case
        try:
            job = CaseJob(
                case.eval_case(), case.index, case.trial_index, case.ids, store=self._store()
            )
            self._kept.run.executor.run(job, self._emit)
        except Exception as error:  # of the code around the task, such as the recording of spans
            logger.exception("a case could not be run")
            failure = CaseError(type(error).__name__, safe_text(error), stack_text(error))
            self._report("finished", failed_outcome(failure))
        except BaseException as error:  # the process ends
            self._report("lost", f"it was ended by {type(error).__name__}")
            raise

    def _emit(self, event: Event) -> None:
        kept = self._kept
        if isinstance(event, CaseStarted):
            self._report("started")
        elif isinstance(event, CaseProgress):
            self._report("progress", dict(event.event))
        elif isinstance(event, CaseFinished):
            root, spans = kept.run.take_spans(self._case.ids.trace_id)
            if kept.is_abandoned:
                self._report("lost", self._abandoned)
            else:
                self._report("finished", outcome_of(event.result, root, spans))
        elif isinstance(event, TaskFinished) and not kept.is_abandoned:
            output = None if event.output_data is None else event.output_data.decode()
            self._report("task", [output, error_fields(event.error)])

    def _store(self) -> AttachmentStore | None:
        """Return what takes the large attachments of a case; ``None``: they are left out."""
        recording = self._order.recording
        if recording is None or recording.attachments is None:
            return None
        return AttachmentSender(
            recording.attachments,
            self._max_attachment,
            lambda content: self._report("attachment", content),
        )

    def _report(self, kind: ReportKind, content: Any = None) -> None:
        case = self._case
        self._put(Report(kind, self._order.run, case.number, case.attempt, content))

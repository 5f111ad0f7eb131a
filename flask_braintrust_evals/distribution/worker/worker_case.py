"""Runs one case of an order, in a worker process, and reports what becomes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.distribution.messaging.attachment_sender import AttachmentSender
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, RunOrder
from flask_braintrust_evals.distribution.messaging.reports import (
    Report,
    ReportKind,
    error_fields,
    failed_outcome,
    given_up,
    outcome_of,
)
from flask_braintrust_evals.engine.running.cases.executor import CaseJob
from flask_braintrust_evals.engine.values.attachments import AttachmentStore
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError
from flask_braintrust_evals.texts.error_texts import stack_text
from flask_braintrust_evals.texts.safe_texts import safe_text

from .worker_runs import KeptRun

logger = logging.getLogger("flask_braintrust_evals")

START_SECONDS = 5.0
"""Seconds that the broker has to take the report that a case starts."""
ENDING = "its process was told to end"


@dataclass(frozen=True)
class CasesOfProcess:
    """The part that all cases of a process have in common.

    Attributes:
        put: has a report sent to an owner, by the name of its queue.
        flush: waits for some seconds until all reports were sent.
        is_ending: returns whether the process was told to end while it runs a case. What a task
            does then, or raises, says nothing of it.
        max_attachment: bytes that an attachment may have to be sent to the owner.
        abandoned: why a case is given up whose run is abandoned.
    """

    put: Callable[[str, Report], None]
    flush: Callable[[float], bool]
    is_ending: Callable[[], bool]
    max_attachment: int
    abandoned: str


class WorkerCase:
    """One case, while it runs in this process.

    Args:
        common: what the cases of the process have in common.
        order: the order of its run.
        case: its own order.
        kept: what runs it.
        is_repeated: whether it may have ended a process before. That it starts is then known to the
            owner before it starts, so that this is counted.
    """

    def __init__(
        self,
        common: CasesOfProcess,
        order: RunOrder,
        case: CaseOrder,
        kept: KeptRun,
        is_repeated: bool,
    ) -> None:
        self._common = common
        self._order = order
        self._case = case
        self._kept = kept
        self._is_repeated = is_repeated

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
            self._finish(failed_outcome(failure))
        except BaseException as error:  # the process ends
            ended = f"it was ended by {type(error).__name__}"
            self._report("lost", given_up(ENDING) if self._common.is_ending() else ended)
            raise
        if self._common.is_ending():
            raise SystemExit(1)  # the first one was taken for the task's own

    def _emit(self, event: Event) -> None:
        if isinstance(event, CaseStarted):
            self._report("started")
            if self._is_repeated:
                self._common.flush(START_SECONDS)
        elif isinstance(event, CaseProgress):
            self._report("progress", dict(event.event))
        elif isinstance(event, CaseFinished):
            root, spans = self._kept.run.take_spans(self._case.ids.trace_id)
            self._finish(outcome_of(event.result, root, spans))
        elif isinstance(event, TaskFinished) and self._why_given_up is None:
            output = None if event.output_data is None else event.output_data.decode()
            self._report("task", [output, error_fields(event.error)])

    def _finish(self, outcome: Mapping[str, Any]) -> None:
        why = self._why_given_up
        if why is None:
            self._report("finished", outcome)
        else:
            self._report("lost", given_up(why))

    @property
    def _why_given_up(self) -> str | None:
        """Why what comes of the case does not count; ``None``: it does."""
        if self._kept.is_abandoned:
            return self._common.abandoned
        return ENDING if self._common.is_ending() else None

    def _store(self) -> AttachmentStore | None:
        """Return what takes the large attachments of a case; ``None``: they are left out."""
        recording = self._order.recording
        if recording is None or recording.attachments is None:
            return None
        return AttachmentSender(
            recording.attachments,
            self._common.max_attachment,
            lambda content: self._report("attachment", content),
        )

    def _report(self, kind: ReportKind, content: Any = None) -> None:
        case = self._case
        self._common.put(
            self._order.owner, Report(kind, self._order.run, case.number, case.attempt, content)
        )

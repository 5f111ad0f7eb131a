"""Runs whose cases run on workers: what the process that serves them orders."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.cloud.uploads import AttachmentUploads
from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints, twin_of
from flask_braintrust_evals.distribution.messaging.orders import RecordingOrder, RunOrder
from flask_braintrust_evals.distribution.owner.completion import CaseCompletion
from flask_braintrust_evals.distribution.owner.dispatcher import Dispatcher
from flask_braintrust_evals.distribution.owner.executor import RemoteExecutor
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor

from .experiments.recording import Recording
from .spec import RunSpec


@dataclass(frozen=True)
class Distribution:
    """The application's way to its workers.

    Attributes:
        dispatcher: that of the process.
        fingerprints: those of the evaluators.
        evaluators: returns the evaluators of the application.
    """

    dispatcher: Dispatcher
    fingerprints: Fingerprints
    evaluators: Callable[[], Iterable[Evaluator]]

    def executor(
        self,
        evaluator: Evaluator,
        spec: RunSpec,
        runner: CaseRunner,
        local: CaseExecutor,
        scorers: Sequence[ScorerCall],
        *,
        recording: RecordingOrder | None,
        spans: SpanPipeline | None,
        window: int,
        usage: bool,
        uploads: AttachmentUploads | None,
    ) -> RemoteExecutor:
        """Open a run, and return what has its cases run by workers.

        Args:
            evaluator: the evaluator.
            spec: the specification of the run.
            runner: what runs its cases in this process, where that is needed.
            local: likewise.
            scorers: the scorers of the request, which need the caller's session.
            recording: how workers record spans; ``None``: they do not.
            spans: sends the spans that workers have recorded.
            window: cases under way at a time.
            usage: see :class:`CaseRunner`.
            uploads: stores the large attachments that workers send; ``None``: they send none.
        """

        def add_spans(packed: Sequence[Mapping[str, Any]], lost: int = 0) -> None:
            if spans is not None:
                spans.add_packed(packed, lost)

        completion = CaseCompletion(runner, scorers, add_spans)
        order = RunOrder(
            "",
            uuid.uuid4().hex,
            evaluator.name,
            self.fingerprints.of(evaluator),
            spec.parameters,
            recording,
            usage,
            completion.reserved_names,
            error_scores=not completion.calls_error_handler,
            retries=spec.retries,
            twin=twin_of(evaluator, self.evaluators()),
            case_spans=runner.keeper is not None,
        )
        run = self.dispatcher.open(order, window, add_spans)
        return RemoteExecutor(
            self.dispatcher, run, runner, completion, local, _is_attachment, uploads
        )


def recording_order(
    recording: Recording,
    spans: SpanPipeline | None,
    org_url: str | None,
    stack_traces: bool,
    uploads: AttachmentUploads | None,
) -> RecordingOrder | None:
    """Return how workers record the spans of a run; ``None``: they do not."""
    parent = recording.parent
    if parent is None or spans is None:
        return None
    return RecordingOrder(
        parent.attribute,
        parent.generation,
        org_url,
        keeps_row_ids=parent.row_fields is not None,
        stack_traces=stack_traces,
        attachments=None if uploads is None else uploads.namespace,
    )


def _is_attachment(value: Any) -> bool:
    """Return whether a value is an attachment of the SDK, which may need the caller's token.

    The class of those in rows of a dataset is this package's own, and derived from the SDK's.
    """
    kinds = type(value).__mro__
    is_of_sdk = any(kind.__module__.partition(".")[0] == "braintrust" for kind in kinds)
    # Not by hasattr(): a dataset of the SDK logs in when it is asked for what it does not have.
    return is_of_sdk and inspect.getattr_static(value, "reference", None) is not None

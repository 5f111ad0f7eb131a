"""Runs whose cases run on workers: what the process that serves them orders."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.distribution.completion import CaseCompletion
from flask_braintrust_evals.distribution.dispatcher import Dispatcher
from flask_braintrust_evals.distribution.executor import RemoteExecutor
from flask_braintrust_evals.distribution.fingerprint import Fingerprints
from flask_braintrust_evals.distribution.orders import RecordingOrder, RunOrder
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.executor import CaseExecutor

from .recording import Recording
from .spec import RunSpec


class Distribution:
    """The application's way to its workers.

    Args:
        dispatcher: that of the process.
        fingerprints: those of the evaluators.
    """

    def __init__(self, dispatcher: Dispatcher, fingerprints: Fingerprints) -> None:
        self.dispatcher = dispatcher
        self._fingerprints = fingerprints

    def executor(
        self,
        evaluator: Evaluator,
        spec: RunSpec,
        runner: CaseRunner,
        local: CaseExecutor,
        scorers: Sequence[ScorerCall],
        recording: RecordingOrder | None,
        spans: SpanPipeline | None,
        window: int,
        usage: bool,
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
        """

        def add_spans(packed: Sequence[Mapping[str, Any]], lost: int = 0) -> None:
            if spans is not None:
                spans.add_packed(packed, lost)

        completion = CaseCompletion(runner, scorers, add_spans)
        order = RunOrder(
            "",
            uuid.uuid4().hex,
            evaluator.name,
            self._fingerprints.of(evaluator),
            spec.parameters,
            recording,
            usage,
            completion.reserved_names,
            error_scores=not completion.calls_error_handler,
        )
        run = self.dispatcher.open(order, window, add_spans)
        return RemoteExecutor(self.dispatcher, run, runner, completion, local, _is_attachment)


def recording_order(
    recording: Recording, spans: SpanPipeline | None, org_url: str | None, stack_traces: bool
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
    )


def _is_attachment(value: Any) -> bool:
    """Return whether a value is an attachment of the SDK, which is read with the caller's token."""
    return type(value).__module__.partition(".")[0] == "braintrust" and hasattr(value, "reference")

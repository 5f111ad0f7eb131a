"""Orders: messages that describe a run, and each of its cases, to a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import format_span_id, format_trace_id

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.tracing.span_ids import SpanIds

from .messages import VERSION, MessageError, known_fields
from .notices import AttemptKey


@dataclass(frozen=True)
class RecordingOrder:
    """The way to record the spans of a run. It has ids of Braintrust's objects, and no token.

    Attributes:
        parent: the value of ``braintrust.parent`` of all spans.
        generation: the entry ``generation`` of ``braintrust.span_attributes``; ``None``: none.
        org_url: the address of the organisation's pages, for links to spans.
        keeps_row_ids: see :class:`EvalTracer`.
        stack_traces: whether spans have the stack traces of exceptions.
        attachments: what the keys of stored attachments are made with; see
            :class:`AttachmentSender`. ``None``: none are stored.
    """

    parent: str
    generation: Any = None
    org_url: str | None = None
    keeps_row_ids: bool = True
    stack_traces: bool = True
    attachments: str | None = None


@dataclass(frozen=True)
class RunOrder:
    """The part that all cases of a run have in common.

    Attributes:
        owner: the name of the queue that reports go to.
        run: the id of the run; no other run has it.
        evaluator: the name of the evaluator.
        fingerprint: what the owner's evaluator is made of; see :mod:`.fingerprint`.
        parameters: the parameters as they were requested, before any default.
        recording: how the spans are recorded; ``None``: they are not.
        usage: see :class:`CaseRunner`.
        reserved_names: the names of the scorers that the owner calls itself.
        retries: how often a failed task is called again; ``None``: as the evaluator says.
        twin: its place among the evaluators of this name, which several blueprints may have.
        error_scores: whether the worker calls the evaluator's ``error_score_handler``.
        case_spans: whether outcomes have the spans of cases, for the client of the run.
    """

    owner: str
    run: str
    evaluator: str
    fingerprint: Mapping[str, str]
    parameters: Mapping[str, Any] | None = None
    recording: RecordingOrder | None = None
    usage: bool = False
    reserved_names: Sequence[str] = ()
    error_scores: bool = True
    retries: int | None = None
    twin: int = 0
    case_spans: bool = False


@dataclass(frozen=True)
class CaseOrder:
    """One trial of a case.

    Attributes:
        number: its number in the run, from 0.
        attempt: how often it has been ordered, from 1.
        index: see :class:`CaseJob`.
        trial_index: likewise.
        ids: the ids of its ``eval`` span.
        case: the fields of the :class:`EvalCase` that are not ``None``; all of them JSON.
    """

    number: int
    attempt: int
    index: int
    trial_index: int
    ids: SpanIds
    case: Mapping[str, Any] = field(repr=False)

    def eval_case(self) -> EvalCase:
        """Return the case."""
        return EvalCase(**{"input": None, **self.case})


def order_content(run: RunOrder, cases: Sequence[CaseOrder]) -> dict[str, Any]:
    """Return an order as JSON."""
    recording = run.recording
    return {
        "version": VERSION,
        **vars(run),
        "reserved_names": list(run.reserved_names),
        "recording": None if recording is None else vars(recording),
        "cases": [
            {
                **vars(case),
                "ids": [format_trace_id(case.ids.trace_id), format_span_id(case.ids.span_id)],
            }
            for case in cases
        ],
    }


def read_address(content: Any) -> tuple[str, list[AttemptKey]]:
    """Return the owner of an order, and its attempts, which all versions of orders have.

    Raises:
        MessageError: it is not an order.
    """
    try:
        owner, run = content["owner"], content["run"]
        attempts = [(run, case["number"], case["attempt"]) for case in content["cases"]]
    except (TypeError, LookupError):
        raise MessageError("it does not name its owner, its run and its cases") from None
    numbers = [each for _, *pair in attempts for each in pair]
    if not (isinstance(owner, str) and isinstance(run, str)) or not all(
        isinstance(each, int) for each in numbers
    ):
        raise MessageError("its owner, its run or one of its cases has no valid name")
    return owner, attempts


def read_order(content: Any) -> tuple[RunOrder, list[CaseOrder]]:
    """Return the run and the cases of an order.

    Fields that are not known are left out. They come from another version of this package, whose
    cases are refused for their fingerprint, unless both versions have the same number.

    Raises:
        MessageError: it is not an order, or one of another version.
    """
    try:
        fields = dict(content)
        version = fields.pop("version")
        if version != VERSION:
            raise MessageError(
                f"the order has version {version} of the messages, and this worker reads version"
                f" {VERSION}: both need the same version of flask-braintrust-evals"
            )
        cases = [_case(each) for each in fields.pop("cases")]
        recording = fields.pop("recording")
        order = RunOrder(
            **known_fields(RunOrder, fields),
            recording=None
            if recording is None
            else RecordingOrder(**known_fields(RecordingOrder, recording)),
        )
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise MessageError(f"the order cannot be read: {error}") from None
    return order, cases


def _case(fields: Mapping[str, Any]) -> CaseOrder:
    trace_id, span_id = fields["ids"]
    known = known_fields(CaseOrder, fields)
    return CaseOrder(**{**known, "ids": SpanIds(int(trace_id, 16), int(span_id, 16))})

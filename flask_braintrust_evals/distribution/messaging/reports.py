"""Reports: messages of workers to the owner of a run, and how they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.engine.values.scores import Score
from flask_braintrust_evals.tracing.case_spans import CaseSpans

from .messages import MessageError

ReportKind = Literal[
    "started",  # the case's task is about to be called
    "progress",  # the task reported progress: the event
    "task",  # the task returned or failed: [output as JSON text, error]
    "attachment",  # a large one that the owner is to store: [reference, content in base64]
    "finished",  # the case is done: see outcome_of()
    "spans",  # some spans of the run, encoded
    "refused",  # this worker cannot run it: the reason
    "lost",  # the process that ran it has died: the reason; or the worker gave it up: given_up()
    "ask",  # may it be started?
    "alive",  # what the process runs: [[run, number, attempt], ...]
    "hello",  # the fields of a WorkerInfo
    "ping",  # from the owner itself
]


class Report(NamedTuple):
    """One report.

    Attributes:
        kind: see :data:`ReportKind`.
        run: the id of the run; empty if it is about none.
        number: the number of the case; -1 if it is about none.
        attempt: the attempt at the case.
        content: what it says.
    """

    kind: ReportKind
    run: str = ""
    number: int = -1
    attempt: int = 0
    content: Any = None

    @classmethod
    def of(cls, value: Any) -> Report:
        """Return a report that was read. What another version says beyond this is left out.

        Raises:
            MessageError: it is none.
        """
        if not isinstance(value, list) or len(value) < len(cls._fields):
            raise MessageError("a report has another form")
        return cls(*value[: len(cls._fields)])


def given_up(reason: str) -> dict[str, Any]:
    """Return the content of ``lost`` for an attempt that no fault of the case has ended."""
    return {"reason": reason, "is_given_up": True}


def loss_of(content: Any) -> tuple[str, bool]:
    """Return the reason that ``lost`` gives, and whether the worker gave the attempt up."""
    if isinstance(content, Mapping):
        return str(content["reason"]), bool(content["is_given_up"])
    return str(content), False


def outcome_of(
    result: CaseResult, root: Mapping[str, Any] | None = None, spans: Sequence[Any] = ()
) -> dict[str, Any]:
    """Return the result of a case as JSON, without its output, which was reported before.

    Args:
        result: the result.
        root: the record of its ``eval`` span; ``None``: it is not recorded.
        spans: the other spans of the case, encoded.
    """
    return {
        "error": error_fields(result.error),
        "scores": {name: score.as_dict() for name, score in result.scores.items()},
        "classifications": result.classifications,
        "scorer_errors": {
            name: error_fields(error) for name, error in result.scorer_errors.items()
        },
        "failed_classifiers": sorted(result.failed_classifiers),
        "metadata": result.metadata,
        "tags": result.tags,
        "metrics": result.metrics,
        "scorer_metrics": result.scorer_metrics,
        "duration": result.duration,
        "interrupted": result.interrupted,
        "root": root,
        "spans": spans,
        "lost_spans": 0,
        "case_spans": None if result.spans is None else vars(result.spans),
        "is_reduced": False,
    }


def failed_outcome(error: CaseError) -> dict[str, Any]:
    """Return the outcome of a case of which nothing but a failure can be reported."""
    nothing = CaseResult(CaseRef("", 0, 0, None), EvalCase(None), error=error)
    return {**outcome_of(nothing), "is_reduced": True}


def without_spans(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return an outcome whose spans are counted as lost."""
    lost = sum(each["count"] for each in outcome["spans"])
    return {**outcome, "root": None, "spans": [], "lost_spans": lost}


def without_case_spans(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return an outcome without the spans that the client of the run has asked for."""
    known = outcome["case_spans"]
    left_out = known["left_out"] + len(known["spans"])
    return {**outcome, "case_spans": vars(CaseSpans(left_out=left_out))}


def has_failed_on_the_way(outcome: Mapping[str, Any], result: CaseResult) -> bool:
    """Return whether a case has failed only after the worker was done with it.

    Args:
        outcome: what was reported of it.
        result: what is known of it, with the outcome and with what was reported before.
    """
    return outcome["is_reduced"] or (result.error is not None and outcome["error"] is None)


def add_outcome(outcome: Mapping[str, Any], result: CaseResult) -> None:
    """Set the fields of a result to what :func:`outcome_of` returned for it."""
    result.error = error_of(outcome["error"]) or result.error
    if outcome["is_reduced"]:
        result.output_data = None
        return  # nothing but the failure is known
    result.scores = {name: Score(**fields) for name, fields in outcome["scores"].items()}
    result.classifications = outcome["classifications"]
    result.scorer_errors = {
        name: error_of(fields) or CaseError("Exception", "")
        for name, fields in outcome["scorer_errors"].items()
    }
    result.failed_classifiers = set(outcome["failed_classifiers"])
    result.metadata, result.tags = outcome["metadata"], outcome["tags"]
    result.metrics, result.scorer_metrics = outcome["metrics"], outcome["scorer_metrics"]
    if outcome["case_spans"] is not None:
        result.spans = CaseSpans(**outcome["case_spans"])
    result.duration, result.interrupted = outcome["duration"], outcome["interrupted"]
    if has_failed_on_the_way(outcome, result):
        # The output could not be reported. A case that has failed has no scores.
        result.scores, result.classifications = {}, {}


def error_fields(error: CaseError | None) -> list[str] | None:
    """Return a failure as JSON."""
    return None if error is None else [*dataclasses.astuple(error)]


def error_of(fields: Any) -> CaseError | None:
    """Return the failure that :func:`error_fields` returned the fields of."""
    return None if fields is None else CaseError(*fields)

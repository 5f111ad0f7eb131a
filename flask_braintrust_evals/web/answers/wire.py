"""Converts the events of a run to the messages of the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseRef, CaseResult
from flask_braintrust_evals.engine.values.summary import RunSummary, ScoreSummary
from flask_braintrust_evals.runs.experiments.comparison import Comparison, changes
from flask_braintrust_evals.serialization.json_writing import encoded, encoded_or_reason
from flask_braintrust_evals.texts.error_texts import cut_stack
from flask_braintrust_evals.texts.safe_texts import safe_text

from . import sse

LARGE = 64 * 1024
"""Bytes of an output from which on it is written into its message piece by piece."""
_BACKSLASH, _QUOTE = b"\\", b'"'


class Message(NamedTuple):
    """One event of the stream.

    Attributes:
        event: its type.
        data: its data: JSON in UTF-8, or nothing.
        output: JSON that follows ``data`` as the content of a JSON string. It may be large, and so
            may not be held twice.
        rest: what follows ``output``.
    """

    event: str
    data: bytes = b""
    output: bytes = b""
    rest: bytes = b""

    @property
    def is_large(self) -> bool:
        """Whether it should be sent in pieces."""
        return bool(self.output) or len(self.data) > LARGE

    def pieces(self) -> Iterator[bytes]:
        """Yield the whole data, ``output`` in pieces."""
        yield self.data
        for start in range(0, len(self.output), LARGE):
            piece = self.output[start : start + LARGE]
            # JSON has nothing else that a string would have to escape.
            yield piece.replace(_BACKSLASH, _BACKSLASH * 2).replace(_QUOTE, _BACKSLASH + _QUOTE)
        if self.rest:
            yield self.rest


class CaseDetails(NamedTuple):
    """The details that a client asks for beside the results of each case: spans and places.

    Attributes:
        stacks: whether it may have stack traces and places in the application's code.
    """

    stacks: bool


DONE = Message("done")


def as_stream(messages: Sequence[Message]) -> Iterator[bytes]:
    """Yield messages that are ready together as bytes of the stream; none are a heartbeat."""
    if not messages:
        yield sse.HEARTBEAT
    small: list[bytes] = []
    for message in messages:
        if not message.is_large:
            small.append(sse.encode(message.event, message.data))
            continue
        if small:
            yield b"".join(small)
            small.clear()
        for piece in sse.encode_pieces(message.event, message.pieces()):
            yield piece
            wait_for_turn(Turn.CONTINUE)  # not before the cases of others
    if small:
        yield b"".join(small)


def case_message(event: Event, evaluator: str) -> Message | None:
    """Return the message of an event of a case. For some events, the protocol has none."""
    if isinstance(event, TaskFinished):
        if event.error is not None:
            return _progress(event.ref, evaluator, _completion("error", str(event.error)))
        return _output(event.ref, evaluator, event.output_data or b"null")
    if isinstance(event, CaseFinished):
        return _progress(event.result.ref, evaluator, _completion("done", ""))
    if isinstance(event, CaseProgress):
        return _progress(event.ref, evaluator, event.event)
    return None


def case_result_messages(event: Event, details: CaseDetails | None = None) -> Iterator[Message]:
    """Yield messages beyond the protocol: that a case starts, and all results of a case.

    They are sent to clients that ask for them by ``case_results``. The data of ``case_start`` is
    ``{"id", "index", "trial_index", "input", "expected"}``, and ``case_id`` if the case has an id
    of its own; that of ``case_result`` is ``{"id", "scores", "classifications", "metadata", "tags",
    "duration"}`` (in seconds), and ``metrics``, ``scorer_metrics``, ``error`` and ``scorer_errors``
    if there are any. The output has been sent by then.

    Args:
        event: the event.
        details: what is sent beside that: ``error_place`` and ``error_stack``, and a message
            ``case_spans`` with ``{"id", "spans", "left_out"}``; ``None``: nothing.
    """
    if isinstance(event, CaseStarted):
        ref = event.ref
        yield _of_values(
            "case_start",
            id=ref.id,
            index=ref.index,
            trial_index=ref.trial_index,
            input=event.case.input,
            expected=event.case.expected,
            **({} if event.case.id is None else {"case_id": safe_text(event.case.id)}),
        )
    elif isinstance(event, CaseFinished):
        result = event.result
        yield _of_values("case_result", **_result(result), **_place(result, details))
        if details is not None and result.spans is not None:
            spans = result.spans if details.stacks else result.spans.without_stacks()
            yield _of_values(
                "case_spans", id=result.ref.id, spans=spans.spans, left_out=spans.left_out
            )


def _place(result: CaseResult, details: CaseDetails | None) -> dict[str, str]:
    """Return where in the application's code a case failed, if its client may know."""
    if details is None or not details.stacks or result.error is None:
        return {}
    found = {"error_place": result.error.place, "error_stack": cut_stack(result.error.stack)}
    return {name: text for name, text in found.items() if text}


def _result(result: CaseResult) -> dict[str, Any]:
    scores = {
        name: {"score": score.score, "metadata": score.metadata}
        for name, score in result.scores.items()
    }
    body: dict[str, Any] = {
        "id": result.ref.id,
        "scores": scores,
        "classifications": result.classifications,
        "metadata": result.metadata,
        "tags": result.tags,
        "duration": result.duration,
    }
    if result.metrics:
        body["metrics"] = result.metrics
    if result.scorer_metrics:
        body["scorer_metrics"] = result.scorer_metrics
    if result.error is not None:
        body["error"] = str(result.error)
    if result.scorer_errors:
        body["scorer_errors"] = {k: str(error) for k, error in result.scorer_errors.items()}
    return body


def _of_values(event: str, **values: Any) -> Message:
    """Return a message with any values; if one has no JSON form, the reason is in its place."""
    pieces: list[bytes] = []
    for name, value in values.items():
        pieces += [b"," if pieces else b"{", encoded(name), b":", encoded_or_reason(value)]
    return Message(event, b"".join((*pieces, b"}")))  # in one step: each of them may be large


def error_message(text: str) -> Message:
    """Return the message of a run that failed. Clients parse its data as a JSON string."""
    return Message("error", encoded(text))


def _completion(event: str, data: str) -> dict[str, str]:
    return {"format": "code", "output_type": "completion", "event": event, "data": data}


def _progress(ref: CaseRef, evaluator: str, event: Mapping[str, str]) -> Message:
    body: dict[str, Any] = {"id": ref.id, "object_type": "task", "name": evaluator, **event}
    if ref.origin is not None:
        body["origin"] = ref.origin
    return Message("progress", encoded(body))


def _output(ref: CaseRef, evaluator: str, output: bytes) -> Message:
    if len(output) < LARGE:
        return _progress(ref, evaluator, _completion("json_delta", output.decode()))
    empty = _progress(ref, evaluator, _completion("json_delta", ""))
    # The first one outside of strings, in which each quote has a backslash before it.
    before, name, after = empty.data.partition(b'"data":"')
    return Message("progress", before + name, output, after)


def summary_body(
    description: Mapping[str, Any],
    summary: RunSummary,
    comparison: Comparison,
    lost_spans: int,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the data of the ``summary`` event.

    ``comparison`` has the form of the ``braintrust`` SDK: ``{"status": "success", "scores",
    "metrics"}``, or ``{"status": "skipped", "reason"}`` if Braintrust's comparison could not be
    had. The scores and metrics at the top are there in both cases; they are those of the run, and
    those that Braintrust alone knows.

    Beyond the protocol, there are ``scorerMetrics`` if scorers have tokens or cost, ``errors``
    (``{"cases", "scorers"}``) if tasks, scorers or classifiers failed, ``lostSpans`` if spans were
    lost, and ``warning`` if there was no case, or a score that no case has, or no case with an
    ``expected`` where a scorer needs one.

    Args:
        description: project and experiment, as in the ``start`` event.
        summary: the means of the run.
        comparison: Braintrust's comparison with an earlier experiment.
        lost_spans: number of spans that could not be delivered.
        notes: what may be a mistake in the cases, which is told as a warning.
    """
    scores = {
        # Braintrust also knows those that tasks have logged on their spans.
        **{
            name: {"name": name, "score": entry["score"], **changes(entry)}
            for name, entry in comparison.scores.items()
            if "score" in entry
        },
        **{
            score.name: _score(score, comparison.scores.get(score.name, {}))
            for score in summary.scores.values()
            if score.mean is not None
        },
    }
    metrics = {
        **{
            name: _metric(name, entry["metric"], entry.get("unit", ""), entry)
            for name, entry in comparison.metrics.items()
            if "metric" in entry
        },
        **{
            name: _metric(name, metric.mean, metric.unit, comparison.metrics.get(name, {}))
            for name, metric in summary.metrics.items()
        },
    }
    body: dict[str, Any] = {
        **description,
        "scores": scores,
        "metrics": metrics,
        "comparison": {"status": "skipped", "reason": comparison.skipped}
        if comparison.skipped
        else {"status": "success", "scores": scores, "metrics": metrics},
    }
    if comparison.base_name is not None:
        body["comparisonExperimentName"] = comparison.base_name
    if summary.scorer_metrics:
        body["scorerMetrics"] = {
            name: _metric(name, metric.mean, metric.unit, {})
            for name, metric in summary.scorer_metrics.items()
        }
    if summary.failed or summary.scorer_errors:
        body["errors"] = {"cases": summary.failed, "scorers": summary.scorer_errors}
    if lost_spans:
        body["lostSpans"] = lost_spans
    warning = "; ".join([*filter(None, [summary.warning]), *notes])
    if warning:
        body["warning"] = warning
    return body


def _score(score: ScoreSummary, compared: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": score.name, "score": score.mean, **changes(compared)}


def _metric(name: str, mean: float, unit: str, compared: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "metric": mean, "unit": unit, **changes(compared)}

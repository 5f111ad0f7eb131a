"""Makes the attributes of a case's spans."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry.trace import Span

from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.turns import let_others_run, wait_after
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.engine.values.scores import Classification, Score
from flask_braintrust_evals.serialization.json_reading import loads, loads_if_json
from flask_braintrust_evals.serialization.json_writing import (
    dumps,
    dumps_or_reason,
    encoded_or_reason,
)
from flask_braintrust_evals.texts.safe_texts import clean_text, safe_text
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.json_cuts import json_within, pieces_within

from .eval_tracer import EvalTracer

_locks: dict[bool, threading.Lock] = {}


def description(case: EvalCase, row_id: str | None, tracer: EvalTracer) -> dict[str, Any]:
    """Return the attributes of a trial's ``eval`` span that are recorded before its task runs.

    They are empty if ``tracer`` records no contents.

    Args:
        case: the case.
        row_id: see :meth:`EvalTracer.row_id`.
        tracer: the run's.
    """
    if not tracer.records_contents:
        return {}
    limit = tracer.max_json
    attributes: dict[str, Any] = {
        semconv.INPUT: json_within(_json(case.input), limit),
        semconv.EXPECTED: json_within(_json(case.expected), limit),
    }
    if case.metadata:
        attributes[semconv.METADATA] = json_within(_json(case.metadata), limit)
    if case.tags:
        attributes[semconv.TAGS] = tuple(clean_text(tag) for tag in case.tags)
    if case.origin:
        attributes[semconv.ORIGIN] = dumps_or_reason(case.origin)
    if row_id is not None:
        attributes[semconv.ROW_ID] = row_id
    return attributes


def of_task(description: dict[str, Any]) -> dict[str, Any]:
    """Return those attributes of a case that the span of its task has, too."""
    return {
        semconv.INPUT: description[semconv.INPUT],
        semconv.EXPECTED: description[semconv.EXPECTED],
    }


def of_scorers(result: CaseResult, tracer: EvalTracer) -> dict[str, str]:
    """Return the attributes of the spans of scorers and classifiers: their input, as they get it.

    The form is that of the official SDKs: what a scorer may ask for, apart from the trace.
    They are empty if ``tracer`` records no contents.
    """
    if not tracer.records_contents:
        return {}
    return {semconv.INPUT: pieces_within(_of_scorers(result), tracer.max_json)}


def _of_scorers(result: CaseResult) -> Iterator[bytes]:
    # One by one: each of them may be large.
    case = result.case
    yield b'{"input":'
    yield _json(case.input)
    yield b',"expected":'
    yield _json(case.expected)
    yield b',"metadata":'
    yield _json(result.metadata) if result.metadata else b"{}"
    yield b',"output":'
    yield result.output_data or b"null"
    yield b',"id":'
    yield _json(case.id)
    yield b',"tags":'
    yield encoded_or_reason(result.tags) if result.tags else b"[]"
    yield b"}"


def _json(value: Any) -> bytes:
    if value is None:  # most cases have several fields without a value
        return b"null"
    data = encoded_or_reason(value, pause=let_others_run)
    wait_after(len(data))
    return data


def record(span: Span, result: CaseResult, tracer: EvalTracer) -> None:
    """Record the result of a case on its span, unless ``tracer`` records no contents."""
    if not tracer.records_contents:
        return
    limit = tracer.max_json
    if result.output_data is not None:
        span.set_attribute(semconv.OUTPUT, json_within(result.output_data, limit))
    metadata = result.metadata
    if result.scorer_errors:
        metadata = {**metadata, **_errors_of_kind(result)}
    # Also where the task has emptied them: the span has those of the case so far.
    if metadata or result.case.metadata:
        span.set_attribute(semconv.METADATA, json_within(_json(metadata), limit))
    if result.tags or result.case.tags:
        span.set_attribute(semconv.TAGS, [safe_text(tag) for tag in result.tags])
    if result.classifications:
        set_json(span, semconv.CLASSIFICATIONS, result.classifications)


def _errors_of_kind(result: CaseResult) -> dict[str, dict[str, str]]:
    errors: dict[str, dict[str, str]] = {}
    for name, error in result.scorer_errors.items():
        kind = "classifier_errors" if name in result.failed_classifiers else "scorer_errors"
        errors.setdefault(kind, {})[name] = str(error)
    return errors


def record_scores(span: Span, scores: list[Score]) -> None:
    """Record the scores of a scorer on its span.

    The output has a single score without its name, and several by their names.
    """
    if not span.is_recording():
        return
    values = {score.name: score.score for score in scores}
    output: dict[str, Any]
    if len(scores) == 1:
        output, metadata = {"score": scores[0].score}, scores[0].metadata
    else:
        output = {name: {"score": value} for name, value in values.items()}
        metadata = {score.name: score.metadata for score in scores if score.metadata}
    span.set_attribute(semconv.OUTPUT, dumps_or_reason(output))
    merge_json(span, semconv.SCORES, values)
    if metadata:
        merge_json(span, semconv.METADATA, metadata)


def record_classifications(span: Span, classifications: list[Classification]) -> None:
    """Record the labels of a classifier on its span, with their metadata.

    As in the SDK, a single label is without its name, and several are by their names.
    """
    if not span.is_recording():
        return
    set_json(span, semconv.OUTPUT, _by_name(classifications, Classification.as_item))
    if any(each.metadata for each in classifications):
        merge_json(span, semconv.METADATA, _by_name(classifications, lambda each: each.metadata))


def _by_name(classifications: list[Classification], field: Callable[[Classification], Any]) -> Any:
    """Return a field of a single label bare, and those of several by the names of the labels."""
    if len(classifications) == 1:
        return field(classifications[0])
    by_name: dict[str, list[Any]] = {}
    for each in classifications:
        by_name.setdefault(str(each.name), []).append(field(each))
    return {name: items[0] if len(items) == 1 else items for name, items in by_name.items()}


def set_json(span: Span, name: str, value: Any) -> None:
    """Set an attribute to ``value`` as JSON, or to the reason why it has no JSON form."""
    if span.is_recording():
        span.set_attribute(name, dumps_or_reason(value))


def merge_json(span: Span, name: str, value: Any) -> None:
    """Set an attribute to ``value`` as JSON; merge an object into the object that is there."""
    text = dumps_or_reason(value)
    with _lock():
        before = (getattr(span, "attributes", None) or {}).get(name)
        known = loads_if_json(before) if isinstance(before, str) else None
        if isinstance(known, dict):
            new = loads(text)
            if isinstance(new, dict):
                text = dumps(_merged(known, new))
        span.set_attribute(name, text)


def add_tags(span: Span, tags: Iterable[str]) -> None:
    """Add tags to those that a span has, each once."""
    with _lock():
        known = (getattr(span, "attributes", None) or {}).get(semconv.TAGS, ())
        span.set_attribute(semconv.TAGS, list(dict.fromkeys([*known, *tags])))


def _lock() -> threading.Lock:
    """Return what is held while an attribute is read, merged and written: no other change is lost.

    It is made when it is needed, so that it is gevent's also under ``--preload``.
    """
    patched = is_patched()
    lock = _locks.get(patched)
    return _locks.setdefault(patched, threading.Lock()) if lock is None else lock


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            value = _merged(before, value)
        result[key] = value
    return result

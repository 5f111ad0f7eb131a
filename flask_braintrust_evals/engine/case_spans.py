"""What the spans of a case say about it."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import Span

from flask_braintrust_evals import semconv
from flask_braintrust_evals.serialization import clean_text, safe_text

from .span_log import merge_json
from .tracing import json_attribute, set_json
from .values.cases import EvalCase
from .values.results import CaseResult
from .values.scores import Classification, Score


def description(case: EvalCase) -> dict[str, Any]:
    """Return the attributes that are known before the task runs: a crash keeps them."""
    attributes: dict[str, Any] = {
        semconv.INPUT: json_attribute(case.input),
        semconv.EXPECTED: json_attribute(case.expected),
    }
    if case.metadata:
        attributes[semconv.METADATA] = json_attribute(case.metadata)
    if case.tags:
        attributes[semconv.TAGS] = [clean_text(tag) for tag in case.tags]
    if case.origin:
        attributes[semconv.ORIGIN] = json_attribute(case.origin)
    return attributes


def of_task(description: dict[str, Any]) -> dict[str, Any]:
    """Return those attributes of a case that the span of its task has as well."""
    return {
        name: description[name] for name in (semconv.INPUT, semconv.EXPECTED) if name in description
    }


def record(span: Span, result: CaseResult) -> None:
    """Set what came of the case."""
    if result.output_json is not None:
        span.set_attribute(semconv.OUTPUT, result.output_json)
    metadata = dict(result.metadata)
    if result.scorer_errors:
        metadata["scorer_errors"] = {k: str(e) for k, e in result.scorer_errors.items()}
    if metadata:
        set_json(span, semconv.METADATA, metadata)
    if result.tags:
        span.set_attribute(semconv.TAGS, [safe_text(tag) for tag in result.tags])
    if result.classifications:
        set_json(span, semconv.CLASSIFICATIONS, result.classifications)


def record_scores(span: Span, scores: list[Score]) -> None:
    """Set what a scorer gave: one score bare, several by their names."""
    if not span.is_recording():
        return
    fields = {score.name: {"score": score.score} for score in scores}
    set_json(span, semconv.OUTPUT, fields if len(scores) != 1 else {"score": scores[0].score})
    merge_json(span, semconv.SCORES, {score.name: score.score for score in scores})
    metadata = {score.name: score.metadata for score in scores if score.metadata}
    if metadata:
        merge_json(span, semconv.METADATA, metadata if len(scores) != 1 else scores[0].metadata)


def record_classifications(span: Span, classifications: list[Classification]) -> None:
    """Set what a classifier gave: one label bare, several by their names, as the SDK does."""
    if len(classifications) == 1:
        set_json(span, semconv.OUTPUT, classifications[0].as_item())
        return
    output: dict[str, Any] = {}
    for each in classifications:
        output.setdefault(str(each.name), []).append(each.as_item())
    single = {name: items[0] if len(items) == 1 else items for name, items in output.items()}
    set_json(span, semconv.OUTPUT, single)

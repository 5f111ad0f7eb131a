"""What the spans of a case say about it."""

from __future__ import annotations

from opentelemetry.trace import Span

from flask_braintrust_evals.serialization import clean_text

from . import tracing as names
from .cases import EvalCase
from .events import CaseResult
from .scores import Classification, Score


def describe(span: Span, case: EvalCase) -> None:
    """Set what is known before the task runs, so that a crash keeps it."""
    names.set_json(span, names.INPUT, case.input)
    names.set_json(span, names.EXPECTED, case.expected)
    if case.metadata:
        names.set_json(span, names.METADATA, case.metadata)
    if case.tags:
        span.set_attribute(names.TAGS, [clean_text(tag) for tag in case.tags])
    if case.origin:
        names.set_json(span, names.ORIGIN, case.origin)


def record(span: Span, result: CaseResult) -> None:
    """Set what came of the case."""
    if result.output_json is not None:
        span.set_attribute(names.OUTPUT, result.output_json)
    metadata = dict(result.metadata)
    if result.scorer_errors:
        metadata["scorer_errors"] = {k: str(e) for k, e in result.scorer_errors.items()}
    if metadata:
        names.set_json(span, names.METADATA, metadata)
    if result.tags:
        span.set_attribute(names.TAGS, [clean_text(str(tag)) for tag in result.tags])
    if result.classifications:
        names.set_json(span, names.CLASSIFICATIONS, result.classifications)


def record_scores(span: Span, scores: list[Score]) -> None:
    """Set what a scorer gave: one score bare, several by their names."""
    if not span.is_recording():
        return
    fields = {score.name: {"score": score.score} for score in scores}
    names.set_json(span, names.OUTPUT, fields if len(scores) != 1 else {"score": scores[0].score})
    names.set_json(span, names.SCORES, {score.name: score.score for score in scores})
    metadata = {score.name: score.metadata for score in scores if score.metadata}
    if metadata:
        names.set_json(span, names.METADATA, metadata if len(scores) != 1 else scores[0].metadata)


def record_classifications(span: Span, classifications: list[Classification]) -> None:
    """Set what a classifier gave."""
    items = [{"name": each.name, **each.as_item()} for each in classifications]
    names.set_json(span, names.OUTPUT, items[0] if len(items) == 1 else items)

"""Reads what a finished span says, cut to a size, for the client of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, format_span_id

from flask_braintrust_evals.serialization.json_reading import loads_if_json
from flask_braintrust_evals.texts.error_texts import cut_stack
from flask_braintrust_evals.texts.excerpts import shortened

from . import semconv
from .case_spans import ERROR_STACK
from .conventions import INPUTS, OUTPUTS, first_of, span_type
from .sizes import text_size
from .span_errors import STACK
from .usage import usage_of
from .value_cuts import value_within

SMALL_VALUE_BYTES = 4 * 1024
"""Bytes of the metrics of a span, and of each value where there is little room."""
SMALL_FIELD = 300
"""Bytes of metrics, and characters of failures, of spans that have no values."""
OVERHEAD = 160
"""Bytes of a span beside its values, about."""
MAX_NAME = 200
"""Characters of a name."""
MAX_ERROR = 2_000
"""Characters of the text of a failure."""
MAX_READ = 1024 * 1024
"""Characters of a JSON text that is parsed; a longer one is cut as a text."""

_BRAINTRUST = ("braintrust.", "flask_braintrust_evals.")


def kept_span(
    span: ReadableSpan, kind: Mapping[str, Any], attributes: Mapping[str, Any], limit: int
) -> tuple[dict[str, Any], int]:
    """Return a span as :class:`.CaseSpans` has it, and about how many bytes it takes.

    Its start and its end are in nanoseconds since 1970.

    Args:
        span: a finished span.
        kind: its ``braintrust.span_attributes``.
        attributes: its attributes.
        limit: bytes of each of its values; 0: it is kept without them.
    """
    fields = _Fields(limit)
    kept = fields.kept
    kept["id"] = format_span_id(span.context.span_id)
    kept["parent_id"] = None if span.parent is None else format_span_id(span.parent.span_id)
    kept["name"] = shortened(span.name, MAX_NAME)
    kept["type"] = _type_of(kind, attributes)
    kept["start"] = span.start_time or 0
    kept["end"] = span.end_time or span.start_time or 0
    fields.add("input", first_of(attributes, INPUTS))
    fields.add("output", first_of(attributes, OUTPUTS))
    fields.add("expected", attributes.get(semconv.EXPECTED))
    fields.add("scores", attributes.get(semconv.SCORES))
    fields.add_value("metadata", _metadata(attributes))
    fields.add_value("metrics", _metrics(attributes), min(limit, SMALL_VALUE_BYTES) or SMALL_FIELD)
    if span.status.status_code is StatusCode.ERROR:
        text = span.status.description or "error"
        kept["error"] = shortened(text, MAX_ERROR if limit else SMALL_FIELD)
        fields.size += text_size(kept["error"])
    if span.events:
        fields.add_value(ERROR_STACK, _stack(span))
    if fields.cut:
        kept["cut"] = True
    return kept, fields.size


class _Fields:
    """The fields of a span that is kept.

    Attributes:
        kept: the span.
        size: about how many bytes it takes.
        cut: whether something of it is left out.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.kept: dict[str, Any] = {}
        self.size = OVERHEAD
        self.cut = False

    def add(self, name: str, recorded: Any) -> None:
        """Add the value of an attribute, which usually is a JSON text."""
        if type(recorded) is str:
            size = text_size(recorded)
            if size <= self._limit:  # as most are: it need not be written again to be measured
                self.kept[name] = _parsed(recorded)
                self.size += size
                return
        self.add_value(name, _parsed(recorded))

    def add_value(self, name: str, value: Any, limit: int | None = None) -> None:
        """Add a value, unless it is ``None``."""
        if value is None:
            return
        limit = self._limit if limit is None else limit
        if not limit:
            self.cut = True
            return
        self.kept[name], cut, size = value_within(value, limit)
        self.cut |= cut
        self.size += size


def _type_of(kind: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
    if isinstance(kind.get("type"), str):
        return shortened(kind["type"], MAX_NAME)
    return span_type(attributes)


def _metadata(attributes: Mapping[str, Any]) -> Any:
    """Return what was logged as metadata, with all attributes that have no other place."""
    others = {
        name: _parsed_list(value)
        for name, value in attributes.items()
        if not name.startswith(_BRAINTRUST) and name not in (*INPUTS, *OUTPUTS)
    }
    logged = _parsed(attributes.get(semconv.METADATA))
    if not others:
        return logged or None
    if logged is None:
        return others
    return {**logged, **others} if isinstance(logged, dict) else {**others, "metadata": logged}


def _metrics(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    logged = object_of(attributes.get(semconv.METRICS))
    return {**usage_of(attributes), **logged} or None


def _stack(span: ReadableSpan) -> str | None:
    """Return the stack trace of the last exception that is recorded on a span."""
    stacks = [
        event.attributes[STACK]
        for event in span.events
        if event.attributes is not None and STACK in event.attributes
    ]
    return cut_stack(str(stacks[-1])) if stacks else None


def _parsed(value: Any) -> Any:
    """Return the value of a JSON text; other texts, and very long ones, as they are."""
    if not isinstance(value, str):
        return _parsed_list(value)
    return value if len(value) > MAX_READ else loads_if_json(value)


def _parsed_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def object_of(value: Any) -> dict[str, Any]:
    """Return the object that an attribute has as JSON; empty: it has none."""
    parsed = _parsed(value)
    return parsed if isinstance(parsed, dict) else {}

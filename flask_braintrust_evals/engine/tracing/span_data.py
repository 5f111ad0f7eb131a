"""A finished span in the terms of the ``braintrust`` SDK."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from flask_braintrust_evals.serialization.json_reading import loads_if_json
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.conventions import INPUTS, OUTPUTS, first_of, span_type
from flask_braintrust_evals.tracing.usage import usage_of


@dataclass(frozen=True)
class SpanData:
    """A finished span, in the terms of the ``braintrust`` SDK.

    Attributes:
        span_id: 16 hex digits.
        span_parents: the id of the span above it; empty: there is none.
        name: its name.
        span_attributes: ``type``, ``name`` and further entries of ``braintrust.span_attributes``.
        input, output, expected, metadata, scores: as recorded; ``None``: nothing was recorded.
        error: the text of the failure; ``None``: it did not fail.
        tags: as recorded; ``None`` where there are none.
        metrics: ``start`` and ``end`` in seconds since 1970, whatever was logged, and the numbers
            of tokens that other attributes have, by the SDK's names.
        root_span_id: the id of the case's trace, 32 hex digits.
        attributes: all attributes, in OpenTelemetry's format.
    """

    span_id: str
    span_parents: list[str]
    name: str
    span_attributes: dict[str, Any]
    input: Any = None
    output: Any = None
    expected: Any = None
    metadata: Any = None
    scores: Any = None
    error: str | None = None
    tags: list[str] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    root_span_id: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, span: ReadableSpan) -> SpanData:
        """Return the data of a finished span."""
        attributes = dict(span.attributes or {})
        kind = loads_if_json(attributes.get(semconv.SPAN_ATTRIBUTES))
        kind = kind if isinstance(kind, dict) else {"name": span.name}
        if "type" not in kind and (conventional := span_type(attributes)) is not None:
            kind["type"] = conventional
        failed = span.status.status_code is StatusCode.ERROR
        context = span.get_span_context()
        return cls(
            span_id=format_span_id(context.span_id) if context is not None else "",
            span_parents=[format_span_id(span.parent.span_id)] if span.parent else [],
            name=span.name,
            span_attributes=kind,
            input=loads_if_json(first_of(attributes, INPUTS)),
            output=loads_if_json(first_of(attributes, OUTPUTS)),
            expected=loads_if_json(attributes.get(semconv.EXPECTED)),
            metadata=loads_if_json(attributes.get(semconv.METADATA)),
            scores=loads_if_json(attributes.get(semconv.SCORES)),
            error=(span.status.description or "error") if failed else None,
            tags=_tags(attributes),
            metrics={
                **usage_of(attributes),
                **_numbers(loads_if_json(attributes.get(semconv.METRICS))),
                "start": (span.start_time or 0) / 1e9,
                "end": (span.end_time or 0) / 1e9,
            },
            root_span_id=format_trace_id(context.trace_id) if context is not None else "",
            attributes=attributes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of a row in Braintrust, without those that are ``None``."""
        names = (each.name for each in dataclasses.fields(self) if each.name != "attributes")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


def _tags(attributes: dict[str, Any]) -> list[str] | None:
    tags = attributes.get(semconv.TAGS)
    return None if tags is None else [str(tag) for tag in tags]


def _numbers(values: Any) -> dict[str, float]:
    return values if isinstance(values, dict) else {}

"""The ``trace`` argument of scorers: the spans of their case, from memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, format_span_id

from flask_braintrust_evals import semconv

T = TypeVar("T")

_INPUTS = (semconv.INPUT, "gen_ai.input.messages")
_OUTPUTS = (semconv.OUTPUT, "gen_ai.output.messages")


class Ready(list[T], Generic[T]):
    """A list that may also be awaited; the result is the list itself.

    In the ``braintrust`` SDK, the methods of a trace are coroutines. Scorers that are not ``async``
    cannot await.
    """

    def __await__(self) -> Generator[Any, None, Ready[T]]:
        yield from ()
        return self


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
        metrics: ``start`` and ``end`` in seconds since 1970.
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
    metrics: dict[str, float] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, span: ReadableSpan) -> SpanData:
        """Return the data of a finished span."""
        attributes = dict(span.attributes or {})
        kind = _parse(attributes.get(semconv.SPAN_ATTRIBUTES))
        kind = kind if isinstance(kind, dict) else {"name": span.name}
        if "type" not in kind and any(key.startswith("gen_ai.") for key in attributes):
            kind["type"] = "llm"
        failed = span.status.status_code is StatusCode.ERROR
        context = span.get_span_context()
        return cls(
            span_id=format_span_id(context.span_id) if context is not None else "",
            span_parents=[format_span_id(span.parent.span_id)] if span.parent else [],
            name=span.name,
            span_attributes=kind,
            input=_first(attributes, _INPUTS),
            output=_first(attributes, _OUTPUTS),
            expected=_parse(attributes.get(semconv.EXPECTED)),
            metadata=_parse(attributes.get(semconv.METADATA)),
            scores=_parse(attributes.get(semconv.SCORES)),
            error=(span.status.description or "error") if failed else None,
            metrics={"start": (span.start_time or 0) / 1e9, "end": (span.end_time or 0) / 1e9},
            attributes=attributes,
        )


class CaseTrace:
    """The spans of a case that have ended: that of its task, and those below it.

    The results of both methods may be used at once, or awaited in ``async`` scorers.
    """

    def __init__(self, finished: Callable[[], Sequence[ReadableSpan]]) -> None:
        self._finished = finished

    def get_spans(
        self, span_type: Iterable[str] | str | None = None, *, include_scorers: bool = False
    ) -> Ready[SpanData]:
        """Return finished spans, in the order of their ends.

        Args:
            span_type: only spans of these types (``"task"``, ``"llm"``, ``"tool"`` …).
            include_scorers: whether to return those of earlier scorers and classifiers, too.
        """
        kinds = {span_type} if isinstance(span_type, str) else set(span_type or ())
        spans = [SpanData.of(span) for span in self._finished()]
        return Ready(
            span
            for span in spans
            if (not kinds or span.span_attributes.get("type") in kinds)
            and (include_scorers or span.span_attributes.get("purpose") != "scorer")
        )

    def get_thread(self) -> Ready[Any]:
        """Return the messages to and from language models, in the order of the calls.

        A model usually gets the whole conversation so far: the messages at the beginning of a call
        that earlier calls had are left out.
        """
        thread: list[Any] = []
        spans = sorted(self.get_spans("llm"), key=lambda span: span.metrics["start"])
        for span in spans:
            given = _messages(span.input)
            known = 0
            while known < min(len(given), len(thread)) and given[known] == thread[known]:
                known += 1
            thread += given[known:]
            thread += _messages(span.output)
        return Ready(thread)


def _messages(value: Any) -> list[Any]:
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        return list(value["messages"])
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        return [choice.get("message", choice) for choice in value["choices"]]
    if value is None:
        return []
    if isinstance(value, list):
        return [
            each["message"] if isinstance(each, dict) and "message" in each else each
            for each in value
        ]
    return [value]


def _first(attributes: dict[str, Any], keys: Iterable[str]) -> Any:
    for key in keys:
        if key in attributes:
            return _parse(attributes[key])
    return None


def _parse(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value

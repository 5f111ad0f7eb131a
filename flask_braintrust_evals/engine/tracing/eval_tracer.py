"""Starts the spans of a case, and marks failed ones.

The engine records spans with the OpenTelemetry tracer that it gets. Names and values are those of
Braintrust's instrumentation specification: a root span ``eval`` per case and trial, below
it ``task`` and one span per scorer and classifier.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from secrets import randbits
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    set_span_in_context,
)

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.texts.error_texts import error_text, stack_text
from flask_braintrust_evals.texts.safe_texts import clean_text
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.span_ids import SpanIds

MAX_KNOWN = 100
"""Kinds of spans whose attributes in common are kept."""

_Kind = tuple[str, str | None, tuple[tuple[str, str], ...]]
"""What spans of a kind have in common: their name, their type in Braintrust, and further entries of
``braintrust.span_attributes``."""

_StartBelow = Callable[
    [
        SpanContext | None,
        str,
        SpanKind,
        dict[str, Any],
        list[Link] | None,
        int | None,
        SpanIds | None,
    ],
    Span,
]
"""See :meth:`.RecordingTracer.start_below`."""


@dataclass(frozen=True)
class EvalTracer:
    """Starts the spans of a run's cases.

    Attributes:
        tracer: starts the OpenTelemetry spans; the default records nothing.
        attributes: attributes of every span, such as ``braintrust.parent``.
        span_attributes: entries of every ``braintrust.span_attributes``, such as ``generation``.
        link: the span of the request that started the run; each ``eval`` span links to it.
        keeps_row_ids: whether an ``eval`` span can be recorded as a row with an id of its own.
        contents: whether anybody reads the inputs and outputs that the engine records on its spans.
        max_json: bytes of each of these that are kept, since no more is sent; ``None``: all.
        deliver_case: sends those spans of a running case that have ended, by the id of its trace,
            for code elsewhere that reads the trace; ``None``: it cannot be done.
        records: whether spans are recorded, and not discarded.
        records_contents: whether spans are recorded with inputs, outputs and scores.
        stopwatch: returns what takes the times of a span, which is started now.
    """

    tracer: Tracer = field(default_factory=NoOpTracer)
    attributes: Mapping[str, str] = field(default_factory=dict)
    span_attributes: Mapping[str, Any] = field(default_factory=dict)
    link: SpanContext | None = None
    keeps_row_ids: bool = True
    contents: bool = True
    max_json: int | None = None
    deliver_case: Callable[[int], None] | None = None
    records: bool = field(init=False)
    records_contents: bool = field(init=False)
    stopwatch: Callable[[], Stopwatch] = field(init=False, repr=False, compare=False)
    _known: dict[_Kind, tuple[str, dict[str, str]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    _start_below: _StartBelow | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Decided once: each case asks several times.
        records = not isinstance(self.tracer, NoOpTracer)
        object.__setattr__(self, "records", records)
        object.__setattr__(self, "records_contents", records and self.contents)
        object.__setattr__(self, "stopwatch", Stopwatch if records else _not_recorded)
        # What RecordingTracer has besides OpenTelemetry's interface.
        object.__setattr__(self, "_start_below", getattr(self.tracer, "start_below", None))

    def delivers(self, context: SpanContext) -> bool:
        """Return whether a span that the application's own tracers have made is recorded, too."""
        known = getattr(self.tracer, "delivers", None)
        return known is None or bool(known(context))

    def is_own(self, trace_id: int) -> bool:
        """Return whether a trace is not that of another run that is under way in this process."""
        known = getattr(self.tracer, "is_own", None)
        return known is None or bool(known(trace_id))

    def row_id(self, case: EvalCase, trial_index: int) -> str | None:
        """Return the id of a trial's row in Braintrust; ``None``: that of its ``eval`` span."""
        return case.row_id(trial_index) if self.keeps_row_ids else None

    def start(
        self,
        name: str,
        kind: str | None,
        parent: Span | None = None,
        *,
        extra: Mapping[str, str] | None = None,
        attributes: Mapping[str, Any] | None = None,
        context: str | None = None,
        start_time: int | None = None,
        ids: SpanIds | None = None,
    ) -> Span:
        """Start a span.

        Args:
            name: the span's name.
            kind: its type in Braintrust, such as ``eval``, ``task`` or ``score``; ``None``: none.
            parent: the span above it; ``None`` starts a new trace.
            extra: further entries of ``braintrust.span_attributes``.
            attributes: further attributes, each a text or a tuple of texts that can be encoded.
            context: what it stands for in the code; see :func:`span_context`.
            start_time: nanoseconds since 1970; ``None``: now.
            ids: those of a span that starts a new trace; ``None``: the tracer chooses them.
        """
        if not self.records:
            return INVALID_SPAN
        key = name, kind, tuple(extra.items()) if extra else ()
        name, in_common = self._known.get(key) or self._in_common(key)
        recorded: dict[str, Any] = {**in_common, **attributes} if attributes else {**in_common}
        if context is not None:
            recorded[semconv.CONTEXT] = context
        links = None if parent is not None or self.link is None else [Link(self.link)]
        if self._start_below is not None:
            return self._start_below(
                None if parent is None else parent.get_span_context(),
                name,
                SpanKind.INTERNAL,
                recorded,
                links,
                start_time,
                ids,
            )
        # Never in the current context: a case must not become a part of the request's trace.
        above = Context() if parent is None else set_span_in_context(parent, Context())
        return self.tracer.start_span(
            name, above, attributes=recorded, links=links, start_time=start_time
        )

    def _in_common(self, key: _Kind) -> tuple[str, dict[str, str]]:
        """Return the name of such spans, as it is recorded, and the attributes that all have."""
        name, kind, extra = key
        kinds = {**self.span_attributes, "type": kind, "name": name, **dict(extra)}
        if kind is None:
            del kinds["type"]
        made = (
            clean_text(name),
            {**self.attributes, semconv.SPAN_ATTRIBUTES: dumps_or_reason(kinds)},
        )
        if len(self._known) < MAX_KNOWN:
            self._known[key] = made
        return made


_IDS = 2**64
# Random for each process, and not for each case, which would take a system call.
_first_id, _numbers = randbits(64), itertools.count()


class Stopwatch:
    """Takes the start and the end of a span. Its duration is right even if the clock is changed.

    Attributes:
        start: nanoseconds since 1970.
    """

    __slots__ = ("_monotonic_start", "start")

    def __init__(self) -> None:
        self.start = time.time_ns()
        self._monotonic_start = time.monotonic_ns()

    def end_span(self, span: Span, monotonic_ns: int | None = None) -> None:
        """End a span.

        Args:
            span: the span.
            monotonic_ns: its end by ``time.monotonic_ns()``; ``None``: now.
        """
        if monotonic_ns is None:
            monotonic_ns = time.monotonic_ns()
        span.end(self.start + monotonic_ns - self._monotonic_start)


class _NotRecorded(Stopwatch):
    """The times of spans that are not recorded: nobody reads them."""

    __slots__ = ()

    def __init__(self) -> None:
        self.start = self._monotonic_start = 0

    def end_span(self, span: Span, monotonic_ns: int | None = None) -> None:
        pass


_NOT_RECORDED = _NotRecorded()


def _not_recorded() -> Stopwatch:
    return _NOT_RECORDED


def span_id(span: Span) -> str:
    """Return a span's id as 16 hex digits; one of its own for a span that is not recorded."""
    if span is not INVALID_SPAN:
        context = span.get_span_context()
        if context.is_valid:
            return format_span_id(context.span_id)
    return format_span_id((_first_id + next(_numbers)) % _IDS)


def set_failure(span: Span, error: BaseException) -> None:
    """Record an exception with its stack, and mark the span as failed."""
    try:
        span.record_exception(error)
    except BaseException:  # the error's own str() fails, for which a tracer need not be prepared
        span.add_event(
            "exception",
            {"exception.type": type(error).__name__, "exception.stacktrace": stack_text(error)},
        )
    span.set_status(Status(StatusCode.ERROR, error_text(error)))

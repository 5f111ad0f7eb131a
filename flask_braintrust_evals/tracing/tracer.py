"""A tracer that records the spans of one run.

:class:`RecordingSpan` implements OpenTelemetry's ``Span`` and, once it has ended, the SDK's
``ReadableSpan``, without the SDK's samplers, limits, processors and locks. That is for speed, since
under gevent each of the SDK's four locks per span takes ten times as long as elsewhere, and for
isolation: ``OTEL_*`` variables that are meant for the application's telemetry do not apply here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)

from flask_braintrust_evals.texts.error_texts import error_text, message_text, stack_text

from .processor import RESOURCE, CaseSpanContext
from .span_copies import copy_of
from .span_ids import SpanIds, new_ids, new_span_id

logger = logging.getLogger("flask_braintrust_evals")

SCOPE = InstrumentationScope("flask_braintrust_evals", "")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status()


class RecordingSpan(ReadableSpan, Span):
    """A span that is recorded until it ends.

    Most of what the SDK's class has as properties are attributes here, since each is read often.

    Args:
        name: its name.
        context: its ids.
        parent: those of the span above it.
        on_end: called with the span when it ends.
        attributes: those that it has at first; see :meth:`RecordingTracer.start_below`.
        start_time: nanoseconds since 1970; ``None``: now.

    Attributes:
        recorded_attributes: the attributes so far, for :func:`plain_attributes`; nobody else
            changes them.
    """

    # A slot hides the property of the same name.
    __slots__ = (
        *("_on_end", "context", "end_time", "events", "kind", "links", "name", "parent"),
        *("recorded_attributes", "start_time", "status"),
    )
    context: SpanContext
    end_time: int | None
    events: list[Event]
    kind: SpanKind
    links: list[Link]
    name: str
    parent: SpanContext | None
    start_time: int
    status: Status
    resource = RESOURCE
    instrumentation_scope = SCOPE
    dropped_attributes = dropped_events = dropped_links = 0

    def __init__(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        on_end: Callable[[ReadableSpan], None],
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link] | None,
        start_time: int | None,
    ) -> None:
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind
        self.status = _UNSET
        self.start_time = time.time_ns() if start_time is None else start_time
        self.end_time = None
        self.recorded_attributes = attributes
        self.events = []
        self.links = list(links) if links else []
        self._on_end = on_end

    def __repr__(self) -> str:
        return f"RecordingSpan(name={self.name!r}, context={self.context!r})"

    # ReadableSpan: what has been recorded.

    @property
    def attributes(self) -> Mapping[str, Any]:
        return MappingProxyType(self.recorded_attributes)

    def get_span_context(self) -> SpanContext:
        return self.context

    def to_json(self, indent: int | None = 4) -> str:
        """Return what has been recorded as JSON, in the form of the SDK's class."""
        text: str = copy_of(self).to_json(indent)
        return text

    # Span: what records. Nothing is recorded after the end.

    def is_recording(self) -> bool:
        return self.end_time is None

    def set_attribute(self, key: str, value: Any) -> None:
        recorded = self.recorded_attributes  # see end()
        if self.end_time is None or self._is_open():  # mostly without a call, since it is frequent
            if type(value) is str and key and type(key) is str:
                recorded[key] = value
            else:
                recorded.update(_cleaned({key: value}))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        recorded = self.recorded_attributes
        if self._is_open():
            recorded.update(_cleaned(attributes))

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if self._is_open():
            self.events.append(Event(str(name), _cleaned(attributes), timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self._is_open() and context is not None:
            self.links.append(Link(context, _cleaned(attributes)))

    def update_name(self, name: str) -> None:
        if self._is_open():
            self.name = str(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status. By the specification, ``OK`` is final, and ``UNSET`` is ignored.

        https://opentelemetry.io/docs/specs/otel/trace/api/#set-status
        """
        if isinstance(status, StatusCode):
            status = Status(status, description)
        final = self.status.status_code is StatusCode.OK
        if self._is_open() and not final and status.status_code is not StatusCode.UNSET:
            self.status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an exception as an event.

        https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/
        """
        kind = type(exception)
        module = "" if kind.__module__ in ("builtins", None) else f"{kind.__module__}."
        recorded = {
            "exception.type": f"{module}{kind.__qualname__}",
            "exception.message": message_text(exception),
            "exception.stacktrace": stack_text(exception),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**recorded, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span.

        Args:
            end_time: nanoseconds since 1970; default: now.
        """
        if self.end_time is None or self._is_open():
            self.end_time = time.time_ns() if end_time is None else end_time
            # Another thread may just be recording, with the attributes that it got before the end.
            self.recorded_attributes = self.recorded_attributes.copy()
            self._on_end(self)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None and self.is_recording():
            self.record_exception(error, escaped=True)
            self.set_status(Status(StatusCode.ERROR, error_text(error)))
        super().__exit__(kind, error, trace)

    def _is_open(self) -> bool:
        if self.end_time is None:
            return True
        logger.warning("span %r has ended: nothing more is recorded on it", self.name)
        return False


@dataclass(eq=False)
class RecordingTracer(Tracer):
    """Starts the spans of one run.

    Attributes:
        on_new_trace: called with the id of each trace that is started.
        on_end: called with each span that has ended.
        delivers: returns whether a span ends up where those of this tracer do, by its ids.
        is_own: returns whether a trace is not that of another run that is under way, by its id.
    """

    on_new_trace: Callable[[int], None]
    on_end: Callable[[ReadableSpan], None]
    delivers: Callable[[SpanContext], bool] = lambda context: True
    is_own: Callable[[int], bool] = lambda trace_id: True

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        above = trace.get_current_span(context).get_span_context()
        return self.start_below(above, name, kind, _cleaned(attributes), links, start_time)

    def start_below(
        self,
        above: SpanContext | None,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        ids: SpanIds | None = None,
    ) -> Span:
        """Do what :meth:`start_span` does in less time: no context is made and searched for a span.

        Args:
            above: the ids of the span above it. If they are not valid, a trace is started.
            attributes: those that it has at first, each in the form that a span may have. The dict
                becomes the span's own.
            ids: those of a span that starts a trace; ``None``: random ones.
        """
        parent = above if above is not None and above.is_valid else None
        if parent is None:
            ids = ids or new_ids()
            self.on_new_trace(ids.trace_id)
            own = CaseSpanContext(ids.trace_id, ids.span_id, False, _SAMPLED)
        else:
            trace_id, state = parent.trace_id, parent.trace_state
            own = CaseSpanContext(trace_id, new_span_id(), False, _SAMPLED, state)
        # By position, which costs less for a class.
        return RecordingSpan(name, own, parent, self.on_end, kind, attributes, links, start_time)

    @contextmanager
    def start_as_current_span(  # type: ignore[override]
        self,
        name: str,
        context: Context | None = None,
        *args: Any,
        end_on_exit: bool = True,
        **kwargs: Any,
    ) -> Iterator[Span]:
        span = self.start_span(name, context, *args, **kwargs)
        with trace.use_span(span, end_on_exit=end_on_exit):
            yield span


def _cleaned(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the attributes whose values a span may have; others are left out, and logged."""
    if not attributes:
        return {}
    for name, value in attributes.items():
        if type(value) is not str or type(name) is not str or not name:
            return dict(BoundedAttributes(attributes=attributes).copy())
    return dict(attributes)

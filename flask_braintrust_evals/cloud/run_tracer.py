"""The tracer of one run, and its spans.

To whoever meets them they are spans of OpenTelemetry's API, and of its SDK once they have ended.
The SDK's own are not used because a run needs none of what makes them dear: samplers, limits,
several processors, and a lock for each of their four parts, which takes ten times as long under
gevent. Nor does anything that is meant for the application's telemetry (``OTEL_*``) reach them.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType, TracebackType
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
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

from flask_braintrust_evals.serialization import clean_text

logger = logging.getLogger("flask_braintrust_evals")

SCOPE = InstrumentationScope("flask_braintrust_evals", "")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status()
_ids = RandomIdGenerator()


class RunSpan(ReadableSpan, Span):
    """A span that is recorded until it ends.

    Args:
        name: its name.
        context: its ids.
        parent: those of the span above it.
        ended: called with the span when it ends.
        start_time: nanoseconds since 1970; default: now.
    """

    def __init__(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        resource: Resource,
        ended: Callable[[ReadableSpan], None],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] = (),
        start_time: int | None = None,
    ) -> None:
        super().__init__(
            name,
            context,
            parent,
            resource,
            kind=kind,
            links=links,
            start_time=time.time_ns() if start_time is None else start_time,
            instrumentation_scope=SCOPE,
        )
        self._recorded = _cleaned(attributes)
        self._happened: list[Event] = []
        self._linked = list(links)
        self._called = name
        self._outcome = _UNSET
        self._ended_at: int | None = None
        self._when_ended = ended

    def __repr__(self) -> str:
        return f"RunSpan(name={self._called!r}, context={self.context!r})"

    # What has been recorded, as the SDK's spans tell it.

    @property
    def name(self) -> str:
        return self._called

    @property
    def attributes(self) -> Mapping[str, Any]:
        return MappingProxyType(self._recorded)

    @property
    def events(self) -> Sequence[Event]:
        return tuple(self._happened)

    @property
    def links(self) -> Sequence[Link]:
        return tuple(self._linked)

    @property
    def status(self) -> Status:
        return self._outcome

    @property
    def end_time(self) -> int | None:
        return self._ended_at

    def get_span_context(self) -> SpanContext:
        context: SpanContext = self.context
        return context

    # What records, as OpenTelemetry's API has it. After the end, nothing does.

    def is_recording(self) -> bool:
        return self._ended_at is None

    def set_attribute(self, key: str, value: Any) -> None:
        if self._is_open():
            if type(value) is str and key:
                self._recorded[key] = value
            else:
                self._recorded.update(_cleaned({key: value}))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if self._is_open():
            self._recorded.update(_cleaned(attributes))

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if self._is_open():
            self._happened.append(Event(name, _cleaned(attributes), timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self._is_open() and context is not None:
            self._linked.append(Link(context, _cleaned(attributes)))

    def update_name(self, name: str) -> None:
        if self._is_open():
            self._called = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status. As the specification has it, ``OK`` is final, and ``UNSET`` is ignored.

        https://opentelemetry.io/docs/specs/otel/trace/api/#set-status
        """
        if isinstance(status, StatusCode):
            status = Status(status, description)
        final = self._outcome.status_code is StatusCode.OK
        if self._is_open() and not final and status.status_code is not StatusCode.UNSET:
            self._outcome = status

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
        stack = traceback.format_exception(kind, exception, exception.__traceback__)
        recorded = {
            "exception.type": f"{module}{kind.__qualname__}",
            "exception.message": clean_text(str(exception)),
            "exception.stacktrace": clean_text("".join(stack)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**recorded, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span.

        Args:
            end_time: nanoseconds since 1970; default: now.
        """
        if self._is_open():
            self._ended_at = time.time_ns() if end_time is None else end_time
            self._when_ended(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.is_recording():
            self.record_exception(error, escaped=True)
            self.set_status(
                Status(StatusCode.ERROR, clean_text(f"{type(error).__name__}: {error}"))
            )
        super().__exit__(kind, error, trace)

    def _is_open(self) -> bool:
        if self._ended_at is not None:
            logger.warning("span %r has ended, and takes nothing more", self._called)
        return self._ended_at is None


class RunTracer(Tracer):
    """Starts the spans of one run.

    Args:
        resource: of the process.
        begin: called with the id of each trace that is started.
        ended: called with each span that has ended.
    """

    def __init__(
        self,
        resource: Resource,
        begin: Callable[[int], None],
        ended: Callable[[ReadableSpan], None],
    ) -> None:
        self._resource = resource
        self._begin = begin
        self._ended = ended

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
        above: SpanContext | None = trace.get_current_span(context).get_span_context()
        if above is None or not above.is_valid:
            above, state, trace_id = None, None, _ids.generate_trace_id()
            self._begin(trace_id)
        else:
            state, trace_id = above.trace_state, above.trace_id
        own = SpanContext(trace_id, _ids.generate_span_id(), False, _SAMPLED, state)
        return RunSpan(
            name,
            own,
            above,
            self._resource,
            self._ended,
            kind=kind,
            attributes=attributes,
            links=links or (),
            start_time=start_time,
        )

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
    """Return attributes as spans may have them: what is of no such kind is left out, and logged."""
    if not attributes:
        return {}
    if all(type(value) is str for value in attributes.values()) and all(attributes):
        return dict(attributes)
    return dict(BoundedAttributes(attributes=attributes).copy())

"""The spans that user code gets: OpenTelemetry's, with the ``braintrust`` SDK's methods added."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from contextvars import Token
from dataclasses import replace
from typing import Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    Span,
    SpanContext,
    Status,
    StatusCode,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from flask_braintrust_evals.engine.calls.introspection import calling_place
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.span_context import INSTRUMENTATION, span_context

from .eval_tracer import set_failure
from .log import log_event
from .span_scope import SpanScope, current_scope

S = TypeVar("S", bound="EvalSpan")

_NANOSECONDS = 1_000_000_000
_MAX_SECONDS = 1e12
"""A larger time is in nanoseconds: in seconds it would be thirty thousand years from now."""


class EvalSpan(Span):
    """An OpenTelemetry span that also has the methods of a span of the ``braintrust`` SDK.

    Everything is recorded on the OpenTelemetry span, so several objects may wrap the same one.

    Args:
        span: the OpenTelemetry span.
        scope: the task, scorer or classifier that it belongs to.
    """

    instrumentation = INSTRUMENTATION
    """What records the spans that are started below, unless they say otherwise."""

    def __init__(self, span: Span, scope: SpanScope) -> None:
        self._span = span
        self._scope = scope
        self._attached: list[tuple[Token[Context], Token[SpanScope | None]]] = []
        self._can_be_current = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, id={self.id!r})"

    # The braintrust SDK's interface.

    @property
    def id(self) -> str:
        """The id of the span's row in Braintrust; empty if nothing is recorded.

        It is :attr:`span_id`, except for the ``eval`` span of a case with an ``upsert_id``.
        """
        row_id = self.attributes.get(semconv.ROW_ID)
        return row_id if isinstance(row_id, str) else self.span_id

    @property
    def span_id(self) -> str:
        """The span's id, 16 hex digits; empty if nothing is recorded."""
        context = self._span.get_span_context()
        return format_span_id(context.span_id) if context.is_valid else ""

    @property
    def root_span_id(self) -> str:
        """The id of the case's trace, 32 hex digits; empty if nothing is recorded."""
        context = self._span.get_span_context()
        return format_trace_id(context.trace_id) if context.is_valid else ""

    @property
    def name(self) -> str:
        """The span's name; empty if nothing is recorded."""
        return str(getattr(self._span, "name", ""))

    def log(self, **event: Any) -> None:
        """Record fields; see :func:`flask_braintrust_evals.engine.tracing.log.log_event`."""
        log_event(self._span, event)

    def start_span(
        self: S,
        name: str | None = None,
        type: Any = None,
        span_attributes: Mapping[str, Any] | None = None,
        start_time: float | None = None,
        set_current: bool | None = None,
        parent: Any = None,
        internal: Mapping[str, Any] | None = None,
        **event: Any,
    ) -> S:
        """Start a span below this one; use it in a ``with`` statement, or end it.

        Args:
            name: its name.
            type: its type, such as ``"llm"`` or ``"tool"``.
            span_attributes: further entries of ``braintrust.span_attributes``.
            start_time: seconds since 1970; default: now.
            set_current: whether spans started inside the ``with`` statement are below it; default:
                they are.
            parent: an exported span to start it below instead.
            internal: as in the SDK; its ``instrumentation`` names what records the span.
            event: fields to log on it; see :meth:`log`.
        """
        attributes = _without_none(span_attributes)
        given_type, given_name = attributes.pop("type", None), attributes.pop("name", None)
        kind = given_type if type is None else type
        recorder = str((internal or {}).get("instrumentation") or self.instrumentation)
        span = self._scope.tracer.start(
            str(name or given_name or "span"),
            None if kind is None else str(getattr(kind, "value", kind)),
            self._parent(parent),
            extra=self._scope.inherited,
            context=span_context(calling_place(), recorder),
            start_time=None if start_time is None else _nanoseconds(start_time),
        )
        child = self.__class__(span, self._scope)
        child._can_be_current = set_current is not False
        child.log(**event, **({"span_attributes": attributes} if attributes else {}))
        return child

    def _parent(self, exported: Any) -> Span:
        """Return the span that a span with the ``parent`` argument ``exported`` is put below."""
        return self._span

    def set_current(self) -> None:
        """Make this the span that others are started below, until :meth:`unset_current`."""
        if self._can_be_current:
            scope = current_scope.get()
            inside = None if scope is None else replace(scope, span=self._span)
            context = otel_context.attach(set_span_in_context(self._span))
            self._attached.append((context, current_scope.set(inside)))

    def unset_current(self) -> None:
        """Undo :meth:`set_current`."""
        if self._attached:
            context, scope = self._attached.pop()
            # Where it is called in another context, nothing is to be undone. detach() would log it.
            with suppress(ValueError):
                current_scope.reset(scope)
                otel_context.detach(context)

    def __enter__(self: S) -> S:
        self.set_current()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            set_failure(self._span, error)
        self.unset_current()
        self.end()

    def end(self, end_time: float | None = None) -> float:  # type: ignore[override]
        """End the span.

        Args:
            end_time: seconds since 1970, as in the SDK, or nanoseconds, as in OpenTelemetry;
                default: now.

        Returns:
            the end, in seconds since 1970.
        """
        at = time.time_ns() if end_time is None else _nanoseconds(end_time)
        if self._span.is_recording():
            self._span.end(at)
        return at / _NANOSECONDS

    def close(self, end_time: float | None = None) -> float:
        """Do the same as :meth:`end`."""
        return self.end(end_time)

    def flush(self) -> None:
        """Do nothing: all spans of a run are delivered before its summary."""

    def export(self) -> str:
        """Return an empty text: only spans of the SDK can be exported."""
        return ""

    link = permalink = export

    def inject(self, carrier: dict[str, str] | None = None) -> dict[str, str]:
        """Return the headers of an outgoing request unchanged."""
        return {} if carrier is None else carrier

    # OpenTelemetry's interface.

    def set_attributes(
        self,
        attributes: Mapping[str, Any] | str | None = None,
        type: Any = None,
        span_attributes: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        """Set OpenTelemetry's attributes (a mapping), or the SDK's name, type and attributes."""
        if isinstance(attributes, Mapping):
            self._span.set_attributes(attributes)
        elif name is None:
            name = attributes
        if name is not None:
            self._span.update_name(name)
        kind = None if type is None else str(getattr(type, "value", type))
        given = _without_none({"name": name, "type": kind, **(span_attributes or {})})
        if given:
            self.log(span_attributes=given)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """All attributes so far; empty if nothing is recorded."""
        return getattr(self._span, "attributes", None) or {}

    def get_span_context(self) -> SpanContext:
        return self._span.get_span_context()

    def set_attribute(self, key: str, value: Any) -> None:
        self._span.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self._span.add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        self._span.add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._span.update_name(name)

    def is_recording(self) -> bool:
        return self._span.is_recording()

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._span.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self._span.record_exception(exception, attributes, timestamp, escaped)

    @property
    def braintrust_parent(self) -> str | None:
        """The span's ``braintrust.parent``: the Braintrust object that it belongs to."""
        return self._scope.tracer.attributes.get(semconv.PARENT)


def _nanoseconds(time: float) -> int:
    return int(time * _NANOSECONDS) if time < _MAX_SECONDS else int(time)


def _without_none(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if value is not None}

"""What the ``braintrust`` SDK traces inside of a case is recorded with the case.

``@traced``, ``start_span``, ``current_span`` and the SDK's wrappers of language models all begin by
asking the SDK's state for the current span. :class:`CaseContextManager` answers that question: in a
task or a scorer that is run for a caller, it is a :class:`SdkSpan`, which records on the current
span of OpenTelemetry. So the spans of both nest in each other, are sent with the caller's token to
the caller's project, and neither the SDK's login nor its background logger has a part in it.
Everywhere else the SDK goes on as before.
"""

from __future__ import annotations

import logging
from typing import Any

from braintrust import Span as BraintrustSpan
from braintrust.context import ContextManager, ParentSpanIds, SpanInfo
from braintrust.logger import NOOP_SPAN_PERMALINK, _internal_get_global_state
from braintrust.span_identifier_v3 import SpanObjectTypeV3
from braintrust.span_identifier_v4 import SpanComponentsV4
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from flask_braintrust_evals import semconv
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan, current_scope

from . import attachments

logger = logging.getLogger("flask_braintrust_evals")

_OBJECT_TYPES = {
    "experiment_id": SpanObjectTypeV3.EXPERIMENT,
    "project_id": SpanObjectTypeV3.PROJECT_LOGS,
    "playground_id": SpanObjectTypeV3.PLAYGROUND_LOGS,
}


class SdkSpan(EvalSpan, BraintrustSpan):  # type: ignore[misc]
    """A span of the SDK's that is recorded on one of OpenTelemetry's."""

    @property
    def propagated_event(self) -> dict[str, Any] | None:
        """What all spans below have in common, as the SDK keeps it."""
        attributes = {**self._scope.tracer.span_attributes, **self._scope.inherited}
        return {"span_attributes": attributes} if attributes else None

    def start_span(self, *args: Any, **options: Any) -> SdkSpan:
        """Start a span below this one; see :meth:`EvalSpan.start_span`."""
        options.pop("internal", None)  # the SDK's own, on where in its code a span comes from
        propagated = options.pop("propagated_event", None) or {}
        attributes = propagated.get("span_attributes") or {}
        if attributes:
            own = options.get("span_attributes") or {}
            options["span_attributes"] = {**attributes, **own}
        return super().start_span(*args, **options)

    def log_feedback(self, **event: Any) -> None:
        """Record feedback on the span itself; a comment becomes an entry of its metadata."""
        given = {name: value for name, value in event.items() if value is not None}
        given.pop("source", None)
        comment = given.pop("comment", None)
        if comment is not None:
            given["metadata"] = {**given.get("metadata", {}), "comment": comment}
        if not given.keys() & {"scores", "expected", "tags"} and comment is None:
            raise ValueError("feedback needs at least one of scores, expected, tags and comment")
        self.log(**given)

    def export(self) -> str:
        """Return the text by which spans of other processes can be put below this one."""
        components = self._components()
        return "" if components is None else str(components.to_str())

    def inject(self, carrier: dict[str, str] | None = None) -> dict[str, str]:
        """Add W3C's ``traceparent`` and ``baggage`` to the headers of an outgoing request."""
        carrier = {} if carrier is None else carrier
        context = set_span_in_context(self._span, Context())
        TraceContextTextMapPropagator().inject(carrier, context)
        parent = self.braintrust_parent
        if parent is not None:
            W3CBaggagePropagator().inject(
                carrier, baggage.set_baggage(semconv.PARENT, parent, context)
            )
        return carrier

    def link(self) -> str:
        """Return the address of the span's page."""
        components, org_url = self._components(), self._scope.org_url
        if components is None or org_url is None or not components.object_id:
            return str(NOOP_SPAN_PERMALINK)
        kind = str(components.object_type)
        return f"{org_url}/object?object_type={kind}&object_id={components.object_id}&id={self.id}"

    def permalink(self) -> str:
        """The same as :meth:`link`."""
        return self.link()

    def _get_otel_parent(self) -> str | None:
        return self.braintrust_parent

    def _components(self) -> SpanComponentsV4 | None:
        parent = self.braintrust_parent
        if parent is None or not self.id:
            return None
        kind, separator, object_id = parent.partition(":")
        metadata: Any = None
        object_type: Any
        if separator and kind in _OBJECT_TYPES:
            object_type = _OBJECT_TYPES[kind]
        else:  # the text of an exported span, which the request gave as the parent
            try:
                exported = SpanComponentsV4.from_str(parent)
            except Exception:
                return None
            object_type, object_id = exported.object_type, exported.object_id or ""
            metadata = exported.compute_object_metadata_args
        return SpanComponentsV4(
            object_type=object_type,
            object_id=object_id,
            compute_object_metadata_args=metadata,
            row_id=self.id,
            span_id=self.id,
            root_span_id=self.root_span_id,
            propagated_event=self.propagated_event,
        )

    def _parent(self, exported: Any) -> Span:
        if not isinstance(exported, str) or not exported:
            return self._span
        own = self._components()
        try:
            other = SpanComponentsV4.from_str(exported)
            context = SpanContext(
                int(other.root_span_id or "", 16),
                int(other.span_id or "", 16),
                is_remote=True,
                trace_flags=TraceFlags(TraceFlags.SAMPLED),
            )
        except Exception:
            return self._span
        if own is None or (own.object_type, own.object_id) != (other.object_type, other.object_id):
            logger.warning("a span's parent is of another project; the span is kept in its run")
            return self._span
        return NonRecordingSpan(context)


class CaseContextManager(ContextManager):
    """Tells the SDK which span is current: inside of a case that of the case, else as before.

    Args:
        outside: the SDK's own manager.
    """

    def __init__(self, outside: ContextManager) -> None:
        self._outside = outside

    def get_current_span_info(self) -> SpanInfo | None:
        scope = current_scope.get()
        info = self._outside.get_current_span_info()
        # One that the user's code has started inside of the case, on a logger of its own.
        is_users = info is not None and isinstance(info.span_object, BraintrustSpan)
        if scope is None or is_users:
            return info
        span = SdkSpan(trace.get_current_span(), scope)
        return SpanInfo(trace_id=span.root_span_id, span_id=span.id, span_object=span)

    def get_parent_span_ids(self) -> ParentSpanIds | None:
        return self._outside.get_parent_span_ids()

    def set_current_span(self, span_object: Any) -> Any:
        return self._outside.set_current_span(span_object)

    def unset_current_span(self, context_token: Any = None) -> None:
        self._outside.unset_current_span(context_token)


def install() -> type[SdkSpan]:
    """Have the SDK ask for the current span here. May be called again.

    Returns:
        the class of the spans that users of the SDK expect.
    """
    if SdkSpan.__abstractmethods__:
        missing = ", ".join(sorted(SdkSpan.__abstractmethods__))
        raise TypeError(f"its spans have methods that are not known here: {missing}")
    attachments.install()
    state = _internal_get_global_state()
    if not isinstance(state.context_manager, CaseContextManager):
        state._context_manager = CaseContextManager(state.context_manager)
    return SdkSpan

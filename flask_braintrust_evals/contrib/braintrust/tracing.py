"""Records what the ``braintrust`` SDK traces inside of a case as spans of that case.

``@traced``, ``start_span``, ``current_span`` and the SDK's wrappers of language models all get the
current span from the SDK's context manager. :class:`CaseContextManager` replaces it: in a task or a
scorer that runs for a caller, the current span is a :class:`SdkSpan`, which records on the current
span of OpenTelemetry. So the spans of both nest in each other, and are sent with the caller's token
to the caller's project, without the SDK's login and its background logger. Everywhere else the SDK
works as usual.
"""

from __future__ import annotations

import logging
from typing import Any

from braintrust import Dataset, Experiment, Prompt
from braintrust import Span as BraintrustSpan
from braintrust.context import ContextManager, ParentSpanIds, SpanInfo
from braintrust.logger import NOOP_SPAN_PERMALINK, _internal_get_global_state
from braintrust.span_identifier_v3 import SpanObjectTypeV3
from braintrust.span_identifier_v4 import SpanComponentsV4
from opentelemetry import baggage
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

from flask_braintrust_evals.engine.calls.introspection import LIBRARIES
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan
from flask_braintrust_evals.engine.tracing.span_scope import current_scope
from flask_braintrust_evals.tracing import semconv

from . import attachments

logger = logging.getLogger("flask_braintrust_evals")

_OBJECT_TYPES = {
    "experiment_id": SpanObjectTypeV3.EXPERIMENT,
    "project_id": SpanObjectTypeV3.PROJECT_LOGS,
    "playground_id": SpanObjectTypeV3.PLAYGROUND_LOGS,
}


class SdkSpan(EvalSpan, BraintrustSpan):  # type: ignore[misc]
    """A span of the SDK that records on a span of OpenTelemetry."""

    instrumentation = "braintrust-python-logger"

    @property
    def propagated_event(self) -> dict[str, Any] | None:
        """The fields that all spans below inherit, in the SDK's format; ``None``: none."""
        attributes = {**self._scope.tracer.span_attributes, **self._scope.inherited}
        return {"span_attributes": attributes} if attributes else None

    def start_span(self, *args: Any, **options: Any) -> SdkSpan:
        """Start a span below this one; see :meth:`EvalSpan.start_span`."""
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
        """Return a text that, as the ``parent`` of other spans, puts them below this one.

        The SDK does this where it calls a function in Braintrust. A scorer gives such a function
        the trace, so that what the task has recorded is delivered before.
        """
        deliver_case = self._scope.tracer.deliver_case
        if deliver_case is not None and self._scope.inherited == semconv.OF_SCORERS:
            deliver_case(self._span.get_span_context().trace_id)
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
        """Return the same as :meth:`link`."""
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
        else:  # the parent that the request gave is the text of an exported span
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
            span_id=self.span_id,
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
        if not self._scope.tracer.is_own(context.trace_id):
            # What is made below it would be delivered with the spans, and the token, of that run.
            logger.warning("a span's parent is of another run; the span is kept in its own")
            return self._span
        return NonRecordingSpan(context)


class CaseContextManager(ContextManager):
    """Gives the SDK the current span: inside of a case the case's, elsewhere the SDK's own.

    Args:
        original: the SDK's own context manager.
    """

    def __init__(self, original: ContextManager) -> None:
        self._original = original

    def get_current_span_info(self) -> SpanInfo | None:
        scope = current_scope.get()
        info = self._original.get_current_span_info()
        # Inside of a case, user code may have started a span on a logger of its own.
        is_user_span = info is not None and isinstance(info.span_object, BraintrustSpan)
        if scope is None or is_user_span:
            return info
        span = SdkSpan(scope.current_span(), scope)
        return SpanInfo(trace_id=span.root_span_id, span_id=span.span_id, span_object=span)

    def get_parent_span_ids(self) -> ParentSpanIds | None:
        return self._original.get_parent_span_ids()

    def set_current_span(self, span_object: Any) -> Any:
        return self._original.set_current_span(span_object)

    def unset_current_span(self, context_token: Any = None) -> None:
        self._original.unset_current_span(context_token)


def install() -> type[SdkSpan]:
    """Replace the SDK's context manager, and how its objects are written and copied. Repeatable.

    Returns:
        the class of the spans that users of the SDK expect.

    Raises:
        TypeError: the SDK's spans have methods that :class:`SdkSpan` lacks.
    """
    if SdkSpan.__abstractmethods__:
        missing = ", ".join(sorted(SdkSpan.__abstractmethods__))
        raise TypeError(f"its spans have methods that are not known here: {missing}")
    attachments.install()
    LIBRARIES.add("braintrust.")
    for kind in (Dataset, Experiment, Prompt):
        # Asked for a method that they do not have, as by copy.deepcopy(), they log in.
        setattr(kind, "__deepcopy__", _itself)  # noqa: B010 (the classes do not declare it)
    state = _internal_get_global_state()
    if not isinstance(state.context_manager, CaseContextManager):
        state._context_manager = CaseContextManager(state.context_manager)
    return SdkSpan


def _itself(value: Any, memo: Any) -> Any:
    return value

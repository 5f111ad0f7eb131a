"""Brings in the spans that the application's own tracers record inside of cases."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext

from .span_ids import OwnIdGenerator

logger = logging.getLogger("flask_braintrust_evals")

# Not Resource.create(): its detectors run in a ThreadPoolExecutor, each time, and under --preload
# the executor's lock is one that stops all greenlets.
RESOURCE = Resource(
    {
        "service.name": os.environ.get("OTEL_SERVICE_NAME", "flask_braintrust_evals"),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
    }
)

Receive = Callable[[ReadableSpan], None]


def sdk_provider() -> TracerProvider | None:
    """Return the application's tracer provider, if OpenTelemetry's SDK is behind it.

    Logfire's wraps a provider of the SDK, and replaces that one whenever it is configured.
    """
    provider: object = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = getattr(provider, "provider", None)
    return provider if isinstance(provider, TracerProvider) else None


class CaseSpanContext(SpanContext):
    """The ids of a span of a case, as only this process can have them.

    Whoever runs an evaluator learns the ids of its cases, and may send them in a ``traceparent``
    header. Propagators make a plain ``SpanContext`` of that.
    """


class CaseSpanProcessor(SpanProcessor):
    """A span processor of the application's tracer provider that delivers the spans of cases.

    What an instrumented library, or the application's own code, records inside a task or a scorer
    has the trace id of the case, because the case's span was current when it began. A span is
    delivered if it was made directly below a span of a case, or below another that is delivered.
    All others are ignored: those of other traces, and those of requests that name a case's trace in
    a header.

    Args:
        install: where the application has no SDK tracer provider, install one.
    """

    def __init__(self, install: bool) -> None:
        self._install = install
        self._receivers: dict[int, Receive] = {}
        self._taken: dict[int, set[int]] = {}
        self._provider: object = None
        self._lock = threading.Lock()

    def attach(self) -> None:
        """Add this processor to the application's tracer provider, unless that is done.

        Called when a run begins, not when the application is set up: a provider is often made after
        that, in each worker process, and one set by this package would keep it from being set.
        """
        with self._lock:
            provider = sdk_provider()
            if provider is None:
                if not self._install or not isinstance(
                    trace.get_tracer_provider(), trace.ProxyTracerProvider
                ):
                    return  # not the SDK's: it takes no processor, and cannot be replaced
                provider = _Provider(resource=RESOURCE, id_generator=OwnIdGenerator())
                trace.set_tracer_provider(provider)
            if provider is self._provider:
                return
            # Not the method of a subclass: Phoenix's replaces its own exporter by what is added.
            TracerProvider.add_span_processor(provider, self)
            self._provider = provider

    def watch(self, trace_id: int, receive: Receive) -> None:
        """Deliver the finished spans of a trace to ``receive``."""
        self._receivers[trace_id] = receive

    def unwatch(self, trace_id: int) -> None:
        """Stop delivering the spans of a trace."""
        self._receivers.pop(trace_id, None)
        self._taken.pop(trace_id, None)

    def is_of(self, trace_id: int, receive: Receive) -> bool:
        """Return whether the spans of a trace are delivered to ``receive``, or to nobody."""
        return self._receivers.get(trace_id, receive) is receive

    def delivers(self, context: SpanContext) -> bool:
        """Return whether a span with these ids is one of a case, or is delivered when it ends."""
        if isinstance(context, CaseSpanContext):
            return True
        taken = self._taken.get(context.trace_id, ())
        return context.trace_flags.sampled and context.span_id in taken

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        above = span.parent
        if above is None or above.trace_id not in self._receivers:
            return
        taken = self._taken.setdefault(above.trace_id, set())
        if isinstance(above, CaseSpanContext) or (not above.is_remote and above.span_id in taken):
            taken.add(span.context.span_id)
        if above.trace_id not in self._receivers:  # no longer, since another thread has ended it
            self._taken.pop(above.trace_id, None)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        receive = self._receivers.get(context.trace_id)
        if receive is not None and context.span_id in self._taken.get(context.trace_id, ()):
            try:
                receive(span)
            except Exception as error:  # it would be raised where the user's code ends the span
                logger.warning("a span cannot be recorded: %s", type(error).__name__)


@functools.cache
def process_processor(install: bool) -> CaseSpanProcessor:
    """Return the processor of this process for each value of ``install``.

    A provider keeps every one that it is given, and an application may not be the only one.

    Args:
        install: see :class:`CaseSpanProcessor`.
    """
    return CaseSpanProcessor(install)


class _Provider(TracerProvider):
    """A tracer provider that does nothing slow in a forked child.

    The SDK's own detects the process's resources there, in threads. Under gevent, whose
    subprocesses begin as a fork that runs Python, the child would run all greenlets of its parent
    while it waits for those threads: answer the parent's requests, and read from its sockets.
    """

    def _handle_fork(self) -> None:
        self._tracers_lock = threading.Lock()

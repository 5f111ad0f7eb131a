"""Finds, among all spans of a process, those that belong to a run: by their trace."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, Tracer

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


_NO_LIMITS = SpanLimits(
    max_events=SpanLimits.UNSET,
    max_links=SpanLimits.UNSET,
    max_span_attributes=SpanLimits.UNSET,
    max_event_attributes=SpanLimits.UNSET,
    max_link_attributes=SpanLimits.UNSET,
    max_attribute_length=SpanLimits.UNSET,
    max_span_attribute_length=SpanLimits.UNSET,
)


class RunTracer(Tracer):
    """Starts the spans of one run.

    Args:
        tracer: that of all runs.
        begin: called with the id of each trace that is started.
    """

    def __init__(self, tracer: Tracer, begin: Callable[[int], None]) -> None:
        self._tracer = tracer
        self._begin = begin

    def start_span(
        self, name: str, context: Context | None = None, *args: Any, **kwargs: Any
    ) -> Span:
        span = self._tracer.start_span(name, context, *args, **kwargs)
        if getattr(span, "parent", None) is None:
            self._begin(span.get_span_context().trace_id)
        return span

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


class SpanRouter(SpanProcessor):
    """Hands each run the spans of its traces: ours, and those of the application's own tracers.

    What an instrumented library, or the application's own code, records inside a task or a scorer
    has the trace of the case, because our span was current when it began. All other spans are
    none of our business, and go nowhere from here.

    Args:
        install: where the application has no SDK tracer provider, install one.
    """

    def __init__(self, install: bool) -> None:
        self._install = install
        self._receivers: dict[int, Receive] = {}
        self._provider: object = None
        self._own_provider: TracerProvider | None = None
        self._lock = threading.Lock()

    def tracer(self, begin: Callable[[int], None]) -> Tracer:
        """Return a tracer for one run, whose spans the application's exporters never see.

        All runs share a provider: the SDK keeps something of each one for as long as the process
        lives.

        Args:
            begin: called with the id of each trace that the run starts.
        """
        with self._lock:
            if self._own_provider is None:
                self._own_provider = _provider(self)
            tracer = self._own_provider.get_tracer("flask_braintrust_evals")
        return RunTracer(tracer, begin)

    def attach(self) -> None:
        """Join the application's tracer provider, unless that is done.

        Called when a run begins, not when the application is set up: a provider is often made after
        that, in each worker process, and one of ours would keep it from being set.
        """
        with self._lock:
            provider = trace.get_tracer_provider()
            if provider is self._provider:
                return
            if not isinstance(provider, TracerProvider):
                if not self._install or not isinstance(provider, trace.ProxyTracerProvider):
                    return  # one that is no SDK's cannot be joined, nor replaced
                provider = _Provider(resource=RESOURCE)
                trace.set_tracer_provider(provider)
            provider.add_span_processor(self)
            self._provider = provider

    def add(self, trace_id: int, receive: Receive) -> None:
        """Send the finished spans of a trace to ``receive``."""
        self._receivers[trace_id] = receive

    def remove(self, trace_id: int) -> None:
        """Send the spans of a trace nowhere any more."""
        self._receivers.pop(trace_id, None)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        receive = self._receivers.get(context.trace_id)
        if receive is not None:
            receive(span)


class _Provider(TracerProvider):
    """Does nothing that may take time in a child process.

    The SDK's own looks for the process's resources there, in threads. Under gevent, whose
    subprocesses begin as a fork that runs Python, the child would go on with all greenlets of its
    parent while it waits for them: answer its requests, and read from its sockets.
    """

    def _handle_fork(self) -> None:
        self._tracers_lock = threading.Lock()


def _provider(processor: SpanProcessor) -> TracerProvider:
    # Explicit, because the defaults come from OTEL_* variables that are meant for the application's
    # own telemetry: a sampler would drop cases, a length limit cut their JSON.
    provider = _Provider(
        sampler=ALWAYS_ON, resource=RESOURCE, shutdown_on_exit=False, span_limits=_NO_LIMITS
    )
    # OTEL_SDK_DISABLED is meant for the application's telemetry as well, and has no argument.
    provider._disabled = False
    provider.add_span_processor(processor)
    return provider

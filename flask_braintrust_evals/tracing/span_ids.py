"""The ids of spans, and how a tracer is told which ones to use."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry.context import Context, create_key
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

_KEY = create_key("braintrust-evals-span-ids")
_generator = RandomIdGenerator()
new_span_id = _generator.generate_span_id


class SpanIds(NamedTuple):
    """The ids of a span that starts a trace."""

    trace_id: int
    span_id: int


def new_ids() -> SpanIds:
    """Return random ids."""
    return SpanIds(_generator.generate_trace_id(), _generator.generate_span_id())


def with_ids(ids: SpanIds) -> Context:
    """Return a context in which a :class:`RecordingTracer` starts a trace with these ids."""
    return Context({_KEY: ids})


def ids_in(context: Context | None) -> SpanIds | None:
    """Return the ids that a context of :func:`with_ids` has; ``None``: it is another one."""
    found = None if context is None else context.get(_KEY)
    return found if isinstance(found, SpanIds) else None

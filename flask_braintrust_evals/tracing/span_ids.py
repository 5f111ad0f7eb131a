"""The ids of spans.

They come from a generator of their own. A task may call :func:`random.seed`, for results that can
be repeated: with OpenTelemetry's generator of ids, its next cases would then replace each other.
"""

from __future__ import annotations

import os
from random import Random
from typing import NamedTuple

from opentelemetry.sdk.trace.id_generator import IdGenerator

# Not os.urandom, which lets go of Python's global lock: for each id, the threads of greenlets and
# of coroutines would take turns.
_random = Random()
os.register_at_fork(after_in_child=_random.seed)


class SpanIds(NamedTuple):
    """The ids of a span that starts a trace."""

    trace_id: int
    span_id: int


def new_span_id() -> int:
    """Return a random id of a span, which is never 0."""
    return _random.getrandbits(64) or 1


def new_ids() -> SpanIds:
    """Return random ids of a span that starts a trace."""
    return SpanIds(_random.getrandbits(128) or 1, new_span_id())


class OwnIdGenerator(IdGenerator):
    """Gives such ids to the spans of a tracer provider."""

    def generate_span_id(self) -> int:
        return new_span_id()

    def generate_trace_id(self) -> int:
        return new_ids().trace_id

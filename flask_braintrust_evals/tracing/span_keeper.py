"""Keeps what the spans of running cases say, cut to what a client may be sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from flask_braintrust_evals.concurrency.gevent_patch import new_lock

from . import semconv
from .case_spans import CaseSpans
from .kept_span import SMALL_VALUE_BYTES, kept_span, object_of

MAX_VALUE_BYTES = 32 * 1024
"""Bytes of one input, output or other value of a span."""
MAX_CASE_BYTES = 256 * 1024
"""Bytes of the values of a case's spans. Where half of them are taken, values are cut to
:data:`SMALL_VALUE_BYTES`, and where all are, further spans have no values."""
MAX_SPANS = 1_000
"""Spans of a case, also where :data:`MAX_CASE_BYTES` are taken twice."""
MORE_SPANS = 200
"""Spans of the task and of scorers that are kept beyond that: they end last."""

_OWN_KINDS = ("eval", "task", "score", "classifier")


@dataclass
class _Case:
    """The kept part of a running case; ``began``: the start of its root span, in nanoseconds."""

    spans: list[dict[str, Any]] = field(default_factory=list)
    began: int = 0
    left_out: int = 0
    size: int = 0


class SpanKeeper:
    """Keeps the spans of the running cases of one run. Thread-safe.

    Spans are cut when they end, so that no more is held than is sent.
    """

    def __init__(self) -> None:
        self._lock = new_lock()
        self._cases: dict[int, _Case] = {}

    def begin(self, trace_id: int) -> None:
        """Keep the spans of a trace from now on."""
        with self._lock:
            self._cases[trace_id] = _Case()

    def add(self, span: ReadableSpan) -> None:
        """Keep a span that has ended, if its case is running."""
        case = self._cases.get(span.context.trace_id)
        if case is None:
            return
        attributes = dict(span.attributes or {})
        kind = object_of(attributes.get(semconv.SPAN_ATTRIBUTES))
        if span.parent is None:
            case.began = span.start_time or 0
        if _is_full(case, kind.get("type") in _OWN_KINDS):
            with self._lock:
                case.left_out += 1
            return
        kept, size = kept_span(span, kind, attributes, _limit(case.size))
        with self._lock:
            case.spans.append(kept)
            case.size += size

    def take(self, trace_id: int) -> CaseSpans:
        """Return the spans of a case that has ended, and forget them."""
        with self._lock:
            case = self._cases.pop(trace_id, None)
        if case is None:
            return CaseSpans()
        for each in case.spans:
            for name in ("start", "end"):
                each[name] = round((each[name] - case.began) / 1e9, 6)
        return CaseSpans(case.spans, case.left_out, case.size)


def _is_full(case: _Case, is_own: bool) -> bool:
    full = len(case.spans) >= MAX_SPANS or case.size >= 2 * MAX_CASE_BYTES
    return full and not (is_own and len(case.spans) < MAX_SPANS + MORE_SPANS)


def _limit(taken: int) -> int:
    """Return how many bytes each value of the next span may have."""
    if taken < MAX_CASE_BYTES // 2:
        return MAX_VALUE_BYTES
    return SMALL_VALUE_BYTES if taken < MAX_CASE_BYTES else 0

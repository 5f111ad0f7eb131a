"""The counted size of a span is that of its encoding, or a little more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

from flask_braintrust_evals.tracing.sizes import span_size

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | TEXTS
    | st.binary(max_size=300)
)
VALUES = st.recursive(
    LEAVES,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXTS, values, max_size=4),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(TEXTS.filter(bool), VALUES, max_size=4)
MANY = st.lists(ATTRIBUTES, max_size=2)
STATE = TraceState([("vendor", "x" * 200)])


def span(
    attributes: dict[str, Any],
    events: list[dict[str, Any]] | None = None,
    links: list[dict[str, Any]] | None = None,
    text: str = "it",
) -> ReadableSpan:
    context = SpanContext(2**127, 2**63, False, TraceFlags(1), STATE)
    return ReadableSpan(
        text,
        context,
        SpanContext(1, 2, is_remote=True),
        attributes=attributes,
        events=[Event(text, each, 2**62) for each in events or ()],
        links=[Link(context, each) for each in links or ()],
        status=Status(StatusCode.ERROR, text),
        start_time=2**62,
        end_time=2**62,
    )


def encoded(span: ReadableSpan) -> int:
    """The bytes of a span in a request, without its resource and its scope."""
    return int(encode_spans([span]).resource_spans[0].scope_spans[0].spans[0].ByteSize())


UNUSUAL = encode_spans([span({"d": {"b": b"x"}, "n": None})]).resource_spans[0].scope_spans[0]
KNOWS_ALL_VALUES = len(UNUSUAL.spans[0].attributes) == 2
"""Whether the installed encoder knows every kind of value."""


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(ATTRIBUTES, MANY, MANY, TEXTS)
def test_a_span_is_counted_with_all_it_has(
    attributes: dict[str, Any], events: list[Any], links: list[Any], text: str
) -> None:
    whole = span(attributes, events, links, text)
    parts = 1 + sum(map(len, (attributes, *events, *links))) + len(events) + len(links)
    # An old encoder leaves out attributes that it does not know.
    assert encoded(whole) <= span_size(whole)
    if KNOWS_ALL_VALUES:
        assert span_size(whole) <= encoded(whole) + 300 + 40 * parts


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        lambda: {"nested": {"text": "x" * 8_000_000}},
        lambda: [{"text": "x" * 4_000_000}, ["y" * 4_000_000]],
        lambda: b"\x00" * 8_000_000,
        lambda: [0] * 2_000_000,
        lambda: [0.5] * 800_000,
        lambda: {str(n): None for n in range(600_000)},
        lambda: {"x" * 8_000_000: 1},
    ],
    ids=["dict", "list", "bytes", "integers", "floats", "many names", "long name"],
)
def test_large_values_of_every_kind_are_counted(value: Callable[[], Any]) -> None:
    assert 6_000_000 < span_size(span({"v": value()})) < 15_000_000

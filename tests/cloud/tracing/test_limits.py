"""Spans as they are sent: stamped with their parent, and cut where they are too large."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, StatusCode

from flask_braintrust_evals.cloud.tracing.limits import MAX_SPAN_BYTES, within_limits
from flask_braintrust_evals.tracing.sizes import span_size

PARENT = "project_id:p"


def span(attributes: dict[str, Any], stack: str = "") -> ReadableSpan:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("it", attributes=attributes) as it:
        if stack:
            it.add_event("exception", {"exception.stacktrace": stack})
    (finished,) = exporter.get_finished_spans()
    return finished


def sent(original: ReadableSpan) -> tuple[ReadableSpan, int]:
    return within_limits(original, PARENT, span_size(original))


def test_a_span_that_is_right_is_sent_as_it_is() -> None:
    original = span({"braintrust.parent": PARENT, "a": 1})
    assert sent(original)[0] is original


def test_the_applications_span_is_stamped_on_a_copy() -> None:
    original = span({"a": "b"})
    copy, size = sent(original)
    attributes = dict(copy.attributes or {})
    context = json.loads(str(attributes.pop("braintrust.context_json")))
    assert context["span_origin"]["instrumentation"] == {"name": "test"}
    assert attributes == {"a": "b", "braintrust.parent": PARENT}
    assert dict(original.attributes or {}) == {"a": "b"}
    assert copy.get_span_context() == original.get_span_context()
    assert (copy.start_time, copy.end_time, copy.name) == (
        original.start_time,
        original.end_time,
        original.name,
    )
    assert size == span_size(copy)


def test_a_parent_that_is_not_the_runs_is_overruled() -> None:
    copy, _ = sent(span({"braintrust.parent": "project_id:other"}))
    assert (copy.attributes or {})["braintrust.parent"] == PARENT


@pytest.mark.parametrize("text", ["x" * 8_000_000, "é" * 4_000_000, '"\\' * 4_000_000])
def test_a_large_json_attribute_is_cut_to_valid_json(text: str) -> None:
    value = json.dumps(text, ensure_ascii=False)
    copy, size = sent(span({"braintrust.output_json": value, "small": "kept"}))
    attributes = dict(copy.attributes or {})
    assert size <= MAX_SPAN_BYTES
    assert "… [cut: " in json.loads(str(attributes["braintrust.output_json"]))
    assert attributes["small"] == "kept"


def test_many_large_texts_share_the_space_and_small_ones_stay() -> None:
    large = {f"text {n}": "x" * 900_000 for n in range(12)}
    copy, size = sent(span({**large, "braintrust.metadata": '{"k":1}'}))
    attributes = dict(copy.attributes or {})
    assert size <= MAX_SPAN_BYTES
    assert attributes["braintrust.metadata"] == '{"k":1}'
    assert all(str(attributes[name]).endswith("… [cut: 900000 bytes]") for name in large)


def test_stack_traces_and_lists_are_cut_as_well() -> None:
    copy, size = sent(span({"tags": ["a", "x" * 3_000_000]}, stack="y" * 9_000_000))
    assert size <= MAX_SPAN_BYTES
    assert str((copy.events[0].attributes or {})["exception.stacktrace"]).endswith("bytes]")


def test_what_is_sent_is_no_larger_than_was_estimated() -> None:
    spans = [
        span({"braintrust.input_json": json.dumps("é" * n), "n": n}) for n in range(0, 3000, 100)
    ]
    copies = [sent(each) for each in spans]
    encoded = encode_spans([each for each, _ in copies]).SerializeToString()
    assert len(encoded) <= sum(size for _, size in copies)


def test_a_list_of_many_small_texts_is_cut_too() -> None:
    copy, size = sent(span({"tags": ["x" * 600] * 10_000}))
    tags = (copy.attributes or {})["tags"]
    assert size <= MAX_SPAN_BYTES
    assert isinstance(tags, list | tuple)
    assert tags[-1] == "… [cut: 10000 items]"


LONG = "x" * 8_000_000


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda it: it.set_status(StatusCode.ERROR, LONG), id="status"),
        pytest.param(lambda it: it.set_attribute(LONG, "value"), id="name of an attribute"),
        pytest.param(lambda it: it.add_event(LONG), id="name of an event"),
        pytest.param(lambda it: it.add_event("it", {LONG: 1}), id="name of an event's attribute"),
        pytest.param(lambda it: it.update_name(LONG), id="name"),
    ],
)
@pytest.mark.parametrize("parent", [PARENT, "project_id:other"])
def test_every_text_of_a_span_is_counted_and_cut(parent: str, change: Any) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attributes = {"braintrust.parent": parent}
    with provider.get_tracer("test").start_as_current_span("it", attributes=attributes) as it:
        change(it)
    (original,) = exporter.get_finished_spans()
    assert span_size(original) > 8_000_000
    copy, size = sent(original)
    encoded = encode_spans([copy]).SerializeToString()
    assert len(encoded) - 1000 <= size <= MAX_SPAN_BYTES  # the resource is not counted
    assert (copy.attributes or {})["braintrust.parent"] == PARENT


VALUES: dict[str, Callable[[], Any]] = {
    "dict": lambda: {"deep": {"text": LONG}},
    "list": lambda: [{"text": "x" * 4_000_000}, ["y" * 4_000_000]],
    "bytes": lambda: b"\x00" * 8_000_000,
    "integers": lambda: [1] * 1_100_000,
    "bytes in a list": lambda: ["a", b"\x00" * 8_000_000],
    "many entries": lambda: {str(n): "x" * 100 for n in range(70_000)},
    "long name": lambda: {LONG: 1},
}


def unchecked(attributes: dict[str, Any], **fields: Any) -> ReadableSpan:
    """A span with any attributes, as newer versions of OpenTelemetry's SDK take them."""
    return ReadableSpan(
        "it", SpanContext(1, 2, False), attributes=attributes, start_time=1, end_time=2, **fields
    )


def size_in_request(span: ReadableSpan) -> int:
    return int(encode_spans([span]).ByteSize())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "kind"), [*(("span", kind) for kind in VALUES), ("event", "dict"), ("link", "dict")]
)
def test_values_of_every_kind_are_cut_and_say_so(where: str, kind: str) -> None:
    value = VALUES[kind]()
    if where == "span":
        original = unchecked({"v": value, "small": "kept"})
    elif where == "event":
        original = unchecked({"small": "kept"}, events=[Event("it", {"v": value}, 1)])
    else:
        original = unchecked({"small": "kept"}, links=[Link(SpanContext(1, 2, True), {"v": value})])
    copy, size = sent(original)
    assert size_in_request(copy) - 1000 <= size <= MAX_SPAN_BYTES
    assert (copy.attributes or {})["small"] == "kept"
    further = [
        *(event.attributes for event in copy.events),
        *(link.attributes for link in copy.links),
    ]
    holders = [copy.attributes, *further]
    (cut,) = [each["v"] for each in holders if each and "v" in each]
    assert "[cut: " in repr(cut)


def test_a_deep_value_becomes_json_text_so_that_readers_accept_the_request() -> None:
    value: Any = "bottom"
    for _ in range(40):
        value = {"down": [value]}
    copy, size = sent(unchecked({"braintrust.parent": PARENT, "v": value, "flat": {"a": [1]}}))
    attributes = dict(copy.attributes or {})
    assert json.loads(str(attributes["v"])) == value
    assert attributes["flat"] == {"a": [1]}
    assert size == span_size(copy)
    copy, _ = sent(unchecked({}, events=[Event("it", {"v": value}, 1)]))
    assert json.loads(str((copy.events[0].attributes or {})["v"])) == value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("attributes", lambda: {f"name {n}": "x" * 900 for n in range(20_000)}),
        ("events", lambda: [Event("it", {"n": n}, n) for n in range(80_000)]),
        ("links", lambda: [Link(SpanContext(1, n, True), {"n": n}) for n in range(1, 60_000)]),
    ],
    ids=["attributes", "events", "links"],
)
def test_of_too_many_parts_the_last_are_left_out_and_counted(
    kind: str, make: Callable[[], Any]
) -> None:
    parts = {kind: make()}
    own = {"braintrust.output_json": '"kept"', "braintrust.parent": PARENT}
    attributes = {**parts.pop("attributes", {}), **own}
    failure = Event("exception", {"exception.type": "E"}, 1)
    events = [*parts.pop("events", []), failure]
    original = unchecked(attributes, events=events, **parts)
    copy, size = sent(original)
    kept = dict(copy.attributes or {})
    assert size_in_request(copy) - 1000 <= size <= MAX_SPAN_BYTES
    assert own.items() <= kept.items()
    assert [event.name for event in copy.events].count("exception") == 1
    lost = (
        len(attributes) - (len(kept) - 2),  # without the context and the note
        len(events) - len(copy.events),
        len(original.links) - len(copy.links),
    )
    (count,) = [each for each in lost if each]
    assert str(kept["flask_braintrust_evals.left_out"]).startswith(f"{count} ")
    assert size > MAX_SPAN_BYTES // 2, "as much as fits is kept"

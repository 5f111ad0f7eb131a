"""The spans of a run do as the SDK's do, but for what is meant for the application's telemetry."""

from __future__ import annotations

import json
import logging
import random
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from flask_braintrust_evals.tracing.processor import RESOURCE
from flask_braintrust_evals.tracing.sizes import span_size
from flask_braintrust_evals.tracing.span_ids import OwnIdGenerator
from flask_braintrust_evals.tracing.tracer import RecordingSpan, RecordingTracer
from tests.support import python

ABOVE = SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(1), trace_state=TraceState())
LINKED = SpanContext(5, 6, is_remote=True)


class Ours:
    """A run's tracer, and what it has reported."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[ReadableSpan] = []
        self.tracer = RecordingTracer(self.begun.append, self.ended.append)


def theirs() -> tuple[Tracer, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("flask_braintrust_evals"), exporter


def encoded(span: ReadableSpan) -> Any:
    """A span as OTLP has it, without what no two spans have in common."""
    (resource,) = encode_spans([span]).resource_spans
    message = resource.scope_spans[0].spans[0]
    message.span_id = b""
    message.dropped_attributes_count = 0  # ours are logged, and not counted
    attributes = sorted(message.attributes, key=lambda each: str(each.key))
    del message.attributes[:]
    message.attributes.extend(attributes)
    for event in message.events:
        event.time_unix_nano = 0
        for attribute in event.attributes:
            if attribute.key == "exception.stacktrace":
                attribute.value.string_value = attribute.value.string_value.splitlines()[-1]
    assert message.end_time_unix_nano >= message.start_time_unix_nano
    return resource


def fail(span: Span) -> None:
    try:
        raise FileNotFoundError("it is gone")
    except FileNotFoundError as error:
        span.record_exception(error, {"more": 1}, escaped=True)


NO_ATTRIBUTES: Any = {"set": {1}, "": "x", "kept": "y"}
Change = Callable[[Span], Any]
CHANGES: dict[str, Change] = {
    "nothing": lambda span: None,
    "text": lambda span: span.set_attribute("a", "b"),
    "replaced": lambda span: span.set_attributes({"given": "new", "z": "y"}),
    "values": lambda span: span.set_attributes(
        {"int": 1, "bool": True, "float": 0.5, "list": ["a"], "numbers": (1, 2)}
    ),
    "what is no attribute": lambda span: span.set_attributes(NO_ATTRIBUTES),
    "no key": lambda span: span.set_attribute("", "x"),
    "event": lambda span: span.add_event("it", {"n": [1, 2]}, timestamp=5),
    "event without attributes": lambda span: span.add_event("it"),
    "exception": fail,
    "own exception": lambda span: span.record_exception(type("Own", (Exception,), {})("x")),
    "link": lambda span: span.add_link(LINKED, {"a": 1}),
    "name": lambda span: span.update_name("other"),
    "failed": lambda span: span.set_status(StatusCode.ERROR, "why"),
    "status": lambda span: span.set_status(Status(StatusCode.ERROR, "why")),
    "ok is final": lambda span: (
        span.set_status(StatusCode.OK),
        span.set_status(StatusCode.ERROR, "too late"),
    ),
    "unset is ignored": lambda span: (
        span.set_status(StatusCode.ERROR, "why"),
        span.set_status(StatusCode.UNSET),
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_span_records_what_the_sdks_does(change: Change) -> None:
    ours, (sdk, exporter) = Ours(), theirs()
    context = set_span_in_context(NonRecordingSpan(ABOVE))
    for tracer in (ours.tracer, sdk):
        span = tracer.start_span(
            "it",
            context,
            SpanKind.CLIENT,
            {"given": "early", "count": 3},
            [Link(LINKED, {"l": "m"})],
            start_time=1_000,
        )
        change(span)
        span.end(2_000)
    (expected,) = exporter.get_finished_spans()
    assert encoded(ours.ended[0]) == encoded(expected)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_has_ended_takes_nothing_more(
    change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    ours = Ours()
    span = ours.tracer.start_span("it", attributes={"given": "early"})
    span.end()
    before = encoded(ours.ended[0])
    with caplog.at_level(logging.WARNING):
        change(span)
        span.end()
    assert encoded(ours.ended[0]) == before
    assert len(ours.ended) == 1
    assert not span.is_recording()
    assert "span 'it' has ended" in caplog.text


def test_a_with_statement_records_what_fails_in_it_and_ends_the_span() -> None:
    ours, (sdk, exporter) = Ours(), theirs()
    for tracer in (ours.tracer, sdk):
        with pytest.raises(KeyError), tracer.start_as_current_span("it"):
            raise KeyError("x")
        with pytest.raises(KeyError), tracer.start_span("it"):
            raise KeyError("x")
    for mine, expected in zip(ours.ended, exporter.get_finished_spans(), strict=True):
        assert [event.name for event in mine.events] == [event.name for event in expected.events]
        assert mine.status.status_code is expected.status.status_code is StatusCode.ERROR
        assert mine.status.description == expected.status.description


def test_traces_are_reported_once_and_children_belong_to_them() -> None:
    ours = Ours()
    with ours.tracer.start_as_current_span("root") as root:
        child = ours.tracer.start_span("child")
        child.end()
    other = ours.tracer.start_span("other root")
    assert isinstance(root, RecordingSpan) and isinstance(child, RecordingSpan)
    assert ours.begun == [each.get_span_context().trace_id for each in (root, other)]
    assert child.parent == root.get_span_context()
    assert child.get_span_context().trace_id == root.get_span_context().trace_id
    assert [span.name for span in ours.ended] == ["child", "root"]
    assert root.get_span_context().trace_flags.sampled
    assert len({each.get_span_context().span_id for each in (root, child, other)}) == 3


def test_a_task_that_seeds_random_does_not_repeat_ids_and_is_not_disturbed() -> None:
    installed = TracerProvider(id_generator=OwnIdGenerator(), shutdown_on_exit=False)
    ids = set()
    state = random.getstate()
    try:
        for _ in range(2):
            random.seed(42)
            expected = random.getstate()
            for tracer in (Ours().tracer, installed.get_tracer("theirs")):
                for context in (None, set_span_in_context(NonRecordingSpan(ABOVE))):
                    made = tracer.start_span("any", context).get_span_context()
                    ids |= {made.span_id, made.trace_id}
            assert random.getstate() == expected
    finally:
        random.setstate(state)
    assert len(ids - {ABOVE.trace_id}) == 12


@pytest.mark.slow
def test_a_forked_process_does_not_repeat_ids_of_its_parent() -> None:
    script = """
    import os
    from flask_braintrust_evals.tracing.span_ids import new_span_id
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, str(new_span_id()).encode())
        os._exit(0)
    os.wait()
    print(int(os.read(reading, 100)) != new_span_id())
    """
    assert python(textwrap.dedent(script)) == "True\n"


def test_nothing_that_is_meant_for_the_applications_telemetry_reaches_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1",
        "OTEL_SPAN_EVENT_COUNT_LIMIT": "0",
    }.items():
        monkeypatch.setenv(name, value)
    ours = Ours()
    span = ours.tracer.start_span("it", attributes={"a": "long enough", "b": "c"})
    span.add_event("event", {"text": "long enough"})
    span.end()
    (ended,) = ours.ended
    assert dict(ended.attributes or {}) == {"a": "long enough", "b": "c"}
    assert ended.events[0].attributes == {"text": "long enough"}


def test_the_applications_own_spans_are_children_of_ours() -> None:
    ours, (sdk, exporter) = Ours(), theirs()
    with ours.tracer.start_as_current_span("root") as root:
        sdk.start_span("the application's").end()
        assert trace.get_current_span() is root
    (child,) = exporter.get_finished_spans()
    assert child.parent == root.get_span_context()
    assert child.context.trace_id == root.get_span_context().trace_id


def test_times_are_now_where_nothing_else_is_said() -> None:
    ours, before = Ours(), time.time_ns()
    ours.tracer.start_span("it").end()
    (ended,) = ours.ended
    assert ended.start_time is not None and ended.end_time is not None
    assert before <= ended.start_time <= ended.end_time <= time.time_ns()


def test_its_json_is_what_was_recorded_as_the_sdks_class_writes_it() -> None:
    ours = Ours()
    their_tracer, exporter = theirs()
    for tracer in (ours.tracer, their_tracer):
        span = tracer.start_span("before", links=[Link(LINKED, {"l": "m"})], attributes={"a": "1"})
        span.update_name("after")
        span.set_attribute("b", "2")
        span.add_event("happened", {"c": "3"}, timestamp=4)
        span.set_status(StatusCode.ERROR, "it failed")
        span.end()
    own, other = (
        json.loads(each.to_json()) for each in (ours.ended[0], exporter.get_finished_spans()[0])
    )
    for written in (own, other):
        for name in ("context", "start_time", "end_time"):
            assert written.pop(name)
    assert own == other
    assert own["name"] == "after"


def test_names_that_are_no_texts_are_written_as_texts() -> None:
    names: Any = 5
    recorded = Ours()
    with recorded.tracer.start_as_current_span("span") as span:
        span.update_name(names)
        span.add_event(names)
        span.set_attribute(names, "a")
        span.set_attributes({names: "b"})
    (ended,) = recorded.ended
    assert (ended.name, ended.events[0].name) == ("5", "5")
    assert dict(ended.attributes or {}) == {"5": "b"}
    assert span_size(ended) > 0


def test_what_another_thread_is_still_recording_when_a_span_ends_is_left_out() -> None:
    ours = Ours()
    span = ours.tracer.start_span("a", attributes={"kept": 1})
    assert isinstance(span, RecordingSpan)

    class Late(dict[str, Any]):
        """Attributes that take until after the end to be read."""

        def items(self) -> Any:
            span.end()
            return super().items()

    span.set_attributes(Late(late=1))
    assert dict(ours.ended[0].attributes or {}) == {"kept": 1}
    assert dict(span.attributes) == {"kept": 1}

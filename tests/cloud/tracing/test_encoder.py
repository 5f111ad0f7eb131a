"""The spans of a request are what the official encoder makes of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from flask_braintrust_evals.cloud.tracing.encoder import (
    MAX_CHUNK_SPANS,
    OtlpChunk,
    OtlpEncoder,
    export_request,
)
from flask_braintrust_evals.cloud.tracing.plain_spans import plain_span

Change = Callable[[Span], None]


class Recorded:
    """A tracer, and the spans that it has finished."""

    def __init__(self, scope: str = "a", resource: Resource | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        limits = SpanLimits(max_span_attributes=5)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, span_limits=limits)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = provider.get_tracer(scope, "1.0")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


def plain(recorded: Recorded, number: int = 0) -> None:
    """Finish a span such as nearly all are, and one below it."""
    texts = {"braintrust.input_json": f'"{number} äöü ☃"', "braintrust.parent": "x", "empty": ""}
    with (
        recorded.tracer.start_as_current_span("eval", attributes=texts),
        recorded.tracer.start_as_current_span("täsk", kind=SpanKind.CLIENT, attributes=texts),
    ):
        pass


def remote_parent(state: TraceState | None = None) -> SpanContext:
    return SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)


CHANGES: dict[str, Change] = {
    "failed": lambda span: span.set_status(StatusCode.ERROR, "it failed"),
    "failed without a word": lambda span: span.set_status(StatusCode.ERROR),
    "fine": lambda span: span.set_status(StatusCode.OK),
    "exception": lambda span: span.record_exception(ValueError("x")),
    "event": lambda span: span.add_event("it", {"a": [1, 2]}),
    "link": lambda span: span.add_link(SpanContext(1, 2, is_remote=True)),
    "number": lambda span: span.set_attribute("n", 1),
    "bool": lambda span: span.set_attribute("n", True),
    "float": lambda span: span.set_attribute("n", 0.5),
    "bytes": lambda span: span.set_attribute("n", b"x"),
    "list": lambda span: span.set_attribute("n", ["a", "b"]),
    "renamed": lambda span: span.update_name(""),
    "too many attributes": lambda span: span.set_attributes({str(n): "x" for n in range(9)}),
}


def encode(spans: list[ReadableSpan]) -> bytes:
    return export_request(OtlpEncoder().encode((span, 100) for span in spans))


def same(spans: list[ReadableSpan]) -> None:
    assert len(spans) > 1
    assert ExportTraceServiceRequest.FromString(encode(spans)) == encode_spans(spans)


def test_nothing_is_an_empty_request() -> None:
    assert encode([]) == b""


def test_plain_spans_are_the_same_bytes() -> None:
    recorded = Recorded()
    for number in range(20):
        plain(recorded, number)

    assert encode(recorded.spans) == encode_spans(recorded.spans).SerializeToString()


def test_texts_of_all_lengths_are_the_same_bytes() -> None:
    recorded = Recorded()
    for size in (0, *range(100, 130), *range(16360, 16386)):
        texts = {"x" * size or "x": "x" * size, "ä": "é☃" * size}
        recorded.tracer.start_span("x" * size or "x", attributes=texts).end()

    assert all(map(plain_span, recorded.spans))
    assert encode(recorded.spans) == encode_spans(recorded.spans).SerializeToString()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_other_span_among_plain_ones_is_as_the_official_encoder_has_it(change: Change) -> None:
    recorded = Recorded()
    plain(recorded)
    with recorded.tracer.start_as_current_span("other", attributes={"a": "b"}) as span:
        change(span)
    plain(recorded)

    same(recorded.spans)


@pytest.mark.parametrize("kind", SpanKind)
def test_every_kind_of_span(kind: SpanKind) -> None:
    recorded = Recorded()
    plain(recorded)
    recorded.tracer.start_span("it", kind=kind, attributes={"a": "b"}).end()

    same(recorded.spans)


@pytest.mark.parametrize("state", [None, TraceState([("a", "b")])], ids=["remote", "trace state"])
def test_spans_below_one_of_another_process(state: TraceState | None) -> None:
    recorded = Recorded()
    plain(recorded)
    context = set_span_in_context(NonRecordingSpan(remote_parent(state)))
    recorded.tracer.start_span("it", context, links=[Link(remote_parent(state))]).end()
    recorded.tracer.start_span("it", context).end()

    same(recorded.spans)


@pytest.mark.parametrize("size", [100, 300_000, 2_000_000])
def test_pieces_are_bounded_and_make_up_the_same_request(size: int) -> None:
    recorded, encoder = Recorded(), OtlpEncoder()
    for number in range(MAX_CHUNK_SPANS):
        plain(recorded, number)

    pieces = list(encoder.encode((span, size) for span in recorded.spans))

    assert {each.count for each in pieces} == {max(1, min(MAX_CHUNK_SPANS, 1_000_000 // size))} | {
        pieces[-1].count
    }
    assert sum(each.count for each in pieces) == len(recorded.spans)
    assert export_request(pieces) == encode_spans(recorded.spans).SerializeToString()


def test_a_text_that_is_no_text_is_sent_without_what_makes_it_so() -> None:
    recorded, encoder = Recorded(), OtlpEncoder()
    recorded.tracer.start_span("first \ud800").end()
    recorded.tracer.start_span("second").end()
    recorded.tracer.start_span("text", attributes={"a": "\ud800", "b": "kept"}).end()
    recorded.tracer.start_span("x\ud800", attributes={"a": ["\ud800"], "n": 1}).end()
    with recorded.tracer.start_as_current_span("failed") as failed:
        failed.set_status(StatusCode.ERROR, "no \ud800")
        failed.add_event("\ud800", {"\ud800": {"a": ["\ud800", 2]}})
    plain(recorded)

    message = ExportTraceServiceRequest.FromString(
        export_request(encoder.encode((span, 100) for span in recorded.spans))
    )

    spans = message.resource_spans[0].scope_spans[0].spans
    names = ["first \ufffd", "second", "text", "x\ufffd", "failed", "täsk", "eval"]
    assert [span.name for span in spans] == names
    texts = [(each.key, each.value.string_value) for each in spans[2].attributes]
    assert texts == [("a", "\ufffd"), ("b", "kept")]
    assert [each.key for each in spans[3].attributes] == ["a", "n"]
    assert spans[4].status.message == "no \ufffd"
    (event,) = spans[4].events
    assert (event.name, [each.key for each in event.attributes]) == ("\ufffd", ["\ufffd"])
    assert encoder.failed == 0


def test_a_span_with_a_name_that_is_no_text_is_counted_as_lost() -> None:
    recorded, encoder = Recorded(), OtlpEncoder()
    recorded.tracer.start_span(5, attributes={"n": 1}).end()  # type: ignore[arg-type]
    assert not list(encoder.encode((span, 100) for span in recorded.spans))
    assert encoder.failed == 1


@pytest.mark.slow
def test_a_request_is_bounded_whatever_the_resource_is() -> None:
    large = Resource({"service.name": "kept", **{f"{n}": "x" * 900_000 for n in range(20)}})
    recorded = Recorded("scope" * 1_000_000, large)
    plain(recorded)

    pieces = list(OtlpEncoder().encode((span, 100) for span in recorded.spans))
    request = export_request(pieces)

    assert len(request) <= sum(piece.size for piece in pieces) < 10_000
    (of_resource,) = ExportTraceServiceRequest.FromString(request).resource_spans
    assert [each.key for each in of_resource.resource.attributes] == ["service.name"]


@pytest.mark.parametrize("count", [1, 5, 40])
def test_pieces_of_many_tracers_count_what_they_add_to_a_request(count: int) -> None:
    pieces: list[OtlpChunk] = []
    for number in range(count):
        recorded = Recorded(f"scope {number}", Resource({"text": "x" * 5_000}))
        plain(recorded)
        pieces += OtlpEncoder().encode((span, 100) for span in recorded.spans)
    assert len(export_request(pieces)) <= sum(piece.size for piece in pieces)


def test_spans_of_several_tracers_are_separate() -> None:
    one, other = Recorded(), Recorded("b")
    elsewhere = Recorded("a", Resource({"service.name": "elsewhere"}))
    for number in range(3):
        for recorded in (one, other, elsewhere):
            plain(recorded, number)
    spans = sorted(one.spans + other.spans + elsewhere.spans, key=lambda span: span.start_time or 0)

    message = ExportTraceServiceRequest.FromString(encode(spans))

    found = {
        (span.span_id, scope.scope.name, str(of.resource))
        for of in message.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    }
    expected = {
        (span.span_id, scope.scope.name, str(of.resource))
        for of in encode_spans(spans).resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    }
    assert len(found) == 18
    assert found == expected

"""Spans that are sent as OTLP."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from . import StandIn
from .support import ADA, BOB, Client, MakeClient


def recorded_spans() -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "geo"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    link = Link(SpanContext(trace_id=1, span_id=2, is_remote=True), {"why": "request"})
    with tracer.start_as_current_span("eval", links=[link]) as root:
        root.set_attributes(
            {
                "braintrust.span_attributes": '{"type": "eval"}',
                "braintrust.input_json": '"France"',
                "braintrust.tags": ["eu", "big"],
                "count": 3,
                "ratio": 0.5,
                "done": True,
            }
        )
        with tracer.start_as_current_span("exact") as child:
            child.set_attribute("braintrust.scores", '{"exact": 0.5}')
            child.add_event("exception", {"exception.type": "ValueError"})
            child.set_status(Status(StatusCode.ERROR, "went wrong"))
    provider.shutdown()
    return exporter.get_finished_spans()


def traced(*attributes: dict[str, Any]) -> tuple[ReadableSpan, ...]:
    """Spans with these attributes; the others are below the first one."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    first, *others = attributes
    with tracer.start_as_current_span("first", attributes=first):
        for each in others:
            tracer.start_span("other", attributes=each).end()
    return exporter.get_finished_spans()


def export(client: Client, spans: tuple[ReadableSpan, ...], parent: str, **extra: str) -> int:
    data = encode_spans(spans).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf", "x-bt-parent": parent, **extra}
    if extra.get("Content-Encoding") == "gzip":
        data = gzip.compress(data)
    return client("POST", "/otel/v1/traces", data=data, headers=headers).status_code


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_spans_are_decoded_to_plain_values(
    standin: StandIn, client: MakeClient, encoding: str
) -> None:
    sent = recorded_spans()
    assert export(client(), sent, "playground_id:p1", **{"Content-Encoding": encoding}) == 200
    (root,) = standin.spans_named("eval")
    (child,) = standin.spans_named("exact")
    assert (root.token, root.parent_header) == (ADA, "playground_id:p1")
    assert root.resource["service.name"] == "geo"
    assert root.scope == "tests"
    assert root.parent_span_id == ""
    assert (child.trace_id, child.parent_span_id) == (root.trace_id, root.span_id)
    assert len(root.trace_id) == 32 and len(root.span_id) == 16
    assert root.attributes["braintrust.tags"] == ["eu", "big"]
    assert [root.attributes[key] for key in ("count", "ratio", "done")] == [3, 0.5, True]
    assert root.json("braintrust.input_json") == "France"
    assert (root.type, child.type) == ("eval", None)
    assert root.links == [(f"{1:032x}", f"{2:016x}", {"why": "request"})]
    assert (root.status_code, root.status_message) == ("UNSET", "")
    assert (child.status_code, child.status_message) == ("ERROR", "went wrong")
    assert child.events == [("exception", {"exception.type": "ValueError"})]
    assert root.start <= child.start <= child.end <= root.end


def test_spans_need_a_parent_a_type_and_a_sound_body(standin: StandIn, client: MakeClient) -> None:
    protobuf = {"Content-Type": "application/x-protobuf"}
    ada = client()

    def status(headers: dict[str, str], data: bytes = b"") -> int:
        return ada("POST", "/otel/v1/traces", data=data, headers=headers).status_code

    assert status(protobuf) == 400
    assert status({"Content-Type": "application/json", "x-bt-parent": "playground_id:p"}) == 415
    sound = {**protobuf, "x-bt-parent": "playground_id:p"}
    assert status(sound, b"\xff\xff\xff") == 400
    assert status({**sound, "Content-Encoding": "gzip"}, b"not gzip") == 400
    assert status({**sound, "Content-Encoding": "br"}) == 415
    assert standin.spans == []


def test_spans_for_another_organisations_experiment_are_refused(
    standin: StandIn, client: MakeClient
) -> None:
    id = standin.add_experiment("acme", "Geo", "run")
    spans = recorded_spans()
    assert export(client(BOB), spans, f"experiment_id:{id}") == 403
    assert standin.spans == []
    ada = client()
    assert export(ada, spans, f"experiment_id:{id}") == 200
    summary = ada.get(f"/v1/experiment/{id}/summarize", summarize_scores="true")
    assert summary["scores"]["exact"]["score"] == 0.5


@pytest.mark.parametrize(
    "metrics", ["no JSON", "[1]", '{"tokens": "5"}', '{"tokens": true}', '{"tokens": NaN}', 5]
)
def test_metrics_that_are_no_numbers_become_metadata(
    standin: StandIn, client: MakeClient, metrics: Any
) -> None:
    assert export(client(), traced({"braintrust.metrics": metrics}), "playground_id:p") == 200
    (row,) = standin.recorded("playground_id:p")
    assert row["metrics"].keys() == {"start", "end"}
    assert row["metadata"] == {"braintrust.metrics": metrics}


def test_a_summary_has_the_metrics_of_tasks_without_those_of_scorers(
    standin: StandIn, client: MakeClient
) -> None:
    base = [
        {
            "input": None,
            "span_attributes": {"type": "task"},
            "metrics": {"start": 1, "end": 3, "prompt_tokens": 20},
        }
    ]
    standin.add_experiment("acme", "Geo", "before", base)
    id = standin.add_experiment("acme", "Geo", "run")
    scorer = {"braintrust.span_attributes": '{"type": "score", "purpose": "scorer"}'}
    spans = traced(
        {"braintrust.span_attributes": '{"type": "eval"}'},
        {"braintrust.span_attributes": '{"type": "task"}'},
        {"gen_ai.usage.input_tokens": 5},
        {"braintrust.metrics": '{"prompt_tokens": 7, "estimated_cost": 0.5}'},
        {**scorer, "braintrust.metrics": '{"prompt_tokens": 100}'},
    )
    ada = client()
    assert export(ada, spans, f"experiment_id:{id}") == 200
    summary = ada.get(f"/v1/experiment/{id}/summarize", summarize_scores="true")
    metrics = summary["metrics"]
    assert metrics.keys() == {"duration", "prompt_tokens", "estimated_cost"}
    assert metrics["prompt_tokens"] == {
        "name": "prompt_tokens",
        "metric": 12.0,
        "unit": "tok",
        "diff": -8.0,
        "improvements": 1,
        "regressions": 0,
    }
    assert (metrics["estimated_cost"]["metric"], metrics["estimated_cost"]["unit"]) == (0.5, "$")
    assert 0 < metrics["duration"]["metric"] < 2
    assert (metrics["duration"]["unit"], metrics["duration"]["improvements"]) == ("s", 1)

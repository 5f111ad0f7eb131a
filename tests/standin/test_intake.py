"""The two ways for spans into the stand-in: what each takes, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from . import StandIn
from .answers import MAX_BODY
from .support import MakeClient

PARENT = "playground_id:p"
OTLP = {"Content-Type": "application/x-protobuf", "x-bt-parent": PARENT}
ROW: dict[str, Any] = {"id": "r", "prompt_session_id": "p", "log_id": "x"}


def span(number: int, attributes: dict[str, Any]) -> ReadableSpan:
    context = SpanContext(1, number, False)
    return ReadableSpan("eval", context, attributes=attributes, start_time=1, end_time=2)


def export(client: MakeClient, *spans: ReadableSpan) -> int:
    body = encode_spans(spans).SerializeToString()
    return client()("POST", "/otel/v1/traces", data=body, headers=OTLP).status_code


def log(client: MakeClient, **row: Any) -> int:
    body = {"rows": [{**ROW, **row}], "api_version": 2}
    return client()("POST", "/logs3", json=body).status_code


def test_a_span_becomes_a_row_with_its_own_id(standin: StandIn, client: MakeClient) -> None:
    attributes = {
        "braintrust.parent": PARENT,
        "braintrust.input_json": '{"a":1}',
        "braintrust.tags": ["t"],
        "braintrust.metadata": '{"m":1}',
    }
    assert export(client, span(7, attributes)) == 200
    (row,) = standin.recorded(PARENT)
    assert row["id"] == row["span_id"] == f"{7:016x}"
    assert (row["input"], row["tags"], row["metadata"]) == ({"a": 1}, ["t"], {"m": 1})
    assert row["is_root"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("braintrust.classifications", '{"topic":[{"id":"a"}]}'),
        ("braintrust.input_json", "not JSON"),
        ("braintrust.metadata", "[1]"),
        ("their.own", 1),
    ],
)
def test_attributes_that_the_intake_cannot_read_are_metadata(
    standin: StandIn, client: MakeClient, name: str, value: Any
) -> None:
    export(client, span(7, {name: value}))
    (row,) = standin.recorded(PARENT)
    assert row["metadata"] == {name: value}


def test_a_row_replaces_that_of_the_same_id(standin: StandIn, client: MakeClient) -> None:
    for output in "ab":
        assert log(client, output=output, metadata={output: 1}) == 200
    (row,) = standin.recorded(PARENT)
    assert (row["output"], row["metadata"]) == ("b", {"b": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"unknown": 1},
        {"metadata": "text"},
        {"scores": {"a": 2}},
        {"scores": {"a": "1"}},
        {"tags": ["a", "a"]},
        {"tags": "a"},
        {"origin": {"object_type": "dataset"}},
        {"classifications": {"topic": "a"}},
        {"classifications": {"topic": [{"label": "no id"}]}},
        {"context": {"caller_lineno": "1"}},
        {"created": "2026-01-01T00:00:00"},
        {"span_parents": "a"},
    ],
    ids=repr,
)
def test_a_row_of_another_form_is_refused(
    standin: StandIn, client: MakeClient, fields: dict[str, Any]
) -> None:
    assert log(client, **fields) == 400
    assert not standin.rows


def test_requests_that_are_too_large_are_refused(standin: StandIn, client: MakeClient) -> None:
    assert log(client, output="x" * MAX_BODY) == 413
    assert export(client, span(7, {"text": "x" * MAX_BODY})) == 413
    assert not standin.recorded(PARENT)

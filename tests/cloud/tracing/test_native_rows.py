"""``eval`` spans that are written as rows: which ones, what is in them, and how large they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, Tracer, set_span_in_context

from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.cloud.tracing.limits import MAX_SPAN_BYTES, within_limits
from flask_braintrust_evals.cloud.tracing.native_rows import (
    insert_request,
    is_native,
    native_row,
)
from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.sizes import span_size
from flask_braintrust_evals.tracing.tracer import RecordingSpan, RecordingTracer
from tests.standin import StandIn
from tests.standin.answers import MAX_BODY
from tests.standin.row_fields import check_row
from tests.support import TOKEN

PLAYGROUND = {"prompt_session_id": "p", "log_id": "x"}
ROWS = "/logs3"


def root(attributes: dict[str, Any] | None = None) -> RecordingSpan:
    tracer = RecordingTracer(lambda trace_id: None, lambda span: None)
    span = tracer.start_span("eval", attributes=attributes)
    assert isinstance(span, RecordingSpan)
    return span


def row_of(span: ReadableSpan) -> dict[str, Any]:
    """The row of a span, which must be one that Braintrust takes."""
    row: dict[str, Any] = json.loads(native_row(span, PLAYGROUND).json)
    check_row(row)
    return row


def pipeline(session: UserSession, row_fields: dict[str, str] | None = PLAYGROUND) -> SpanPipeline:
    return SpanPipeline(session, "playground_id:p", CaseSpanProcessor(False), 10, row_fields)


def case(tracer: Tracer, **attributes: str) -> None:
    span = tracer.start_span("eval", attributes=attributes)
    tracer.start_span("task", set_span_in_context(span)).end()
    span.end()


LABELS = '{"topic":[{"id":"other"}]}'


@pytest.mark.parametrize(
    ("attributes", "native"),
    [
        ({}, False),
        ({semconv.INPUT: "1", semconv.SCORES: '{"a":1}'}, False),
        ({semconv.ROW_ID: "row"}, True),
        ({semconv.CLASSIFICATIONS: LABELS}, True),
    ],
)
def test_only_what_otlp_cannot_express_is_a_row(attributes: dict[str, str], native: bool) -> None:
    assert is_native(root(attributes)) is native


def test_a_row_has_the_fields_of_its_span() -> None:
    span = root(
        {
            semconv.PARENT: "playground_id:p",
            semconv.ROW_ID: "row",
            semconv.INPUT: '{"n":123456789012345678901234567890}',
            semconv.EXPECTED: "null",
            semconv.OUTPUT: '"é"',
            semconv.METADATA: '{"a":1}',
            semconv.SPAN_ATTRIBUTES: '{"type":"eval","name":"eval","generation":"g"}',
            semconv.ORIGIN: '{"object_type":"dataset","object_id":"d","id":"r"}',
            semconv.CLASSIFICATIONS: LABELS,
        }
    )
    span.set_attribute(semconv.TAGS, ["b", "a", "b"])
    span.end()

    row = row_of(span)

    assert span.context is not None
    assert {name: row[name] for name in ("id", "span_id", "root_span_id", "_is_merge")} == {
        "id": "row",
        "span_id": f"{span.context.span_id:016x}",
        "root_span_id": f"{span.context.trace_id:032x}",
        "_is_merge": False,
    }
    assert row["input"] == {"n": 123456789012345678901234567890}
    assert (row["expected"], row["output"], row["tags"]) == (None, "é", ["b", "a"])
    assert row["metadata"] == {"a": 1}
    assert row["span_attributes"] == {"type": "eval", "name": "eval", "generation": "g"}
    assert row["origin"]["id"] == "r"
    assert row["classifications"] == {"topic": [{"id": "other"}]}
    assert 0 < row["metrics"]["start"] <= row["metrics"]["end"]
    assert (row["prompt_session_id"], row["log_id"]) == ("p", "x")
    assert not row.keys() & {"error", "scores", "span_parents"}


def test_a_failure_is_the_error_of_its_row() -> None:
    span = root({semconv.ROW_ID: "row"})
    try:
        raise ValueError("no")
    except ValueError as error:
        span.record_exception(error)
    span.set_status(StatusCode.ERROR, "ValueError: no")
    span.add_event("noticed", {"n": 1})
    span.end()
    row = row_of(span)
    assert row["error"].startswith("Traceback")
    assert row["error"].endswith("ValueError: no\n")
    assert row["metadata"] == {"events": [{"name": "noticed", "n": 1}]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (semconv.METADATA, '"not an object"'),
        (semconv.SCORES, "[1]"),
        (semconv.SPAN_ATTRIBUTES, "1"),
        (semconv.METRICS, 0),
        (semconv.CLASSIFICATIONS, '{"topic":"other"}'),
        (semconv.CLASSIFICATIONS, '{"topic":[{"label":"no id"}]}'),
        (semconv.TAGS, "no list"),
        ("their.own", (1, 2)),
    ],
)
def test_what_a_field_cannot_have_is_metadata(name: str, value: Any) -> None:
    row = row_of(root({semconv.ROW_ID: "row", name: value}))
    assert row["metadata"] == {name: json.loads(json.dumps(value))}


def test_text_that_is_not_json_is_a_text() -> None:
    assert row_of(root({semconv.ROW_ID: "row", semconv.OUTPUT: "{no"}))["output"] == "{no"


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.text() | st.binary() | st.integers() | st.floats()))
def test_any_attributes_make_a_row(attributes: dict[str, Any]) -> None:
    assert row_of(root({semconv.ROW_ID: "row", **attributes}))["id"] == "row"


@pytest.mark.parametrize(
    "attributes",
    [
        lambda: {f"text {n}": "\x01" * 900_000 for n in range(4)},
        lambda: {
            semconv.INPUT: json.dumps("\x01" * 3_000_000),
            semconv.METADATA: '{"a":"%s"}' % ("b" * 9_000_000),
        },
        lambda: {f"{n}\x01\x02\x03": "\x01" for n in range(100_000)},
    ],
    ids=["control characters", "JSON", "many names"],
)
def test_no_row_is_larger_than_a_request_may_be(attributes: Callable[[], dict[str, str]]) -> None:
    span, _ = within_limits(*_sized(root({semconv.ROW_ID: "row", **attributes()})))
    row = native_row(span, PLAYGROUND)
    assert len(row.json) <= row.size <= MAX_SPAN_BYTES + 100
    assert len(insert_request([row])) < MAX_BODY
    check_row(json.loads(row.json))


def _sized(span: ReadableSpan) -> tuple[ReadableSpan, str, int]:
    return span, "playground_id:p", span_size(span)


def test_a_row_and_the_spans_below_it_are_one_trace(cloud: StandIn, session: UserSession) -> None:
    spans = pipeline(session)
    case(spans.collector.tracer, **{semconv.ROW_ID: "row", semconv.INPUT: '"x"'})
    case(spans.collector.tracer)
    spans.flush()
    assert spans.lost == 0
    (logged,) = cloud.rows
    assert (logged.token, logged.parent) == (TOKEN, "playground_id:p")
    (call,) = cloud.calls_to("POST", ROWS)
    assert call.headers["x-bt-org-name"] == "acme"
    assert sorted(span.name for span in cloud.spans) == ["eval", "task", "task"]
    (task,) = [span for span in cloud.spans if span.trace_id == logged.row["root_span_id"]]
    assert task.parent_span_id == logged.row["span_id"]
    assert not any(semconv.ROW_ID in span.attributes for span in cloud.spans)


def test_where_the_object_is_not_known_all_spans_go_over_otlp(
    cloud: StandIn, session: UserSession
) -> None:
    spans = pipeline(session, None)
    case(spans.collector.tracer, **{semconv.CLASSIFICATIONS: LABELS})
    spans.flush()
    assert not cloud.calls_to("POST", ROWS)
    assert len(cloud.spans) == 2


@pytest.mark.parametrize("fault", [{"status": 503}, {"close": True}], ids=["503", "closed"])
def test_rows_are_sent_again_after_a_failure_that_may_pass(
    cloud: StandIn, session: UserSession, fault: dict[str, Any]
) -> None:
    spans = pipeline(session)
    cloud.fault("POST", ROWS, **fault)
    case(spans.collector.tracer, **{semconv.ROW_ID: "row"})
    spans.flush()
    assert (spans.lost, [row.row["id"] for row in cloud.rows]) == (0, ["row"])


def test_a_row_that_is_refused_is_counted_and_costs_no_other_span(
    cloud: StandIn, session: UserSession
) -> None:
    spans = pipeline(session)
    cloud.fault("POST", ROWS, status=400, times=None)
    case(spans.collector.tracer, **{semconv.ROW_ID: "row"})
    spans.flush()
    assert (spans.lost, [span.name for span in cloud.spans]) == (1, ["task"])


def test_rows_that_are_never_taken_leave_the_other_spans_their_time(
    cloud: StandIn, session: UserSession
) -> None:
    spans = pipeline(session)
    cloud.fault("POST", ROWS, status=503, times=None)
    case(spans.collector.tracer, **{semconv.ROW_ID: "row"})
    spans.flush(0.5)
    assert (spans.lost, [span.name for span in cloud.spans]) == (1, ["task"])

"""The spans of a run, on their way to Braintrust: all of them, whole, and to the right place."""

from __future__ import annotations

import gc
import json
import os
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import Tracer, set_span_in_context

from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions.user_session import Endpoints, UserSession, log_in
from flask_braintrust_evals.cloud.tracing.encoder import OtlpEncoder
from flask_braintrust_evals.cloud.tracing.exporter import BATCH_SPANS
from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
from flask_braintrust_evals.tracing import collector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from tests.standin import Call, StandIn
from tests.support import TOKEN, python

TRACES = "/otel/v1/traces"
LIMIT = 10.0


def run_spans(
    session: UserSession, parent: str = "playground_id:p", limit: float = LIMIT
) -> SpanPipeline:
    return SpanPipeline(session, parent, CaseSpanProcessor(install=False), limit)


def case(tracer: Tracer, name: str = "eval", children: int = 0, **attributes: str) -> None:
    """Record one case."""
    root = tracer.start_span(name, attributes=attributes)
    for number in range(children):
        tracer.start_span(f"child-{number}", set_span_in_context(root)).end()
    root.end()


def exports(cloud: StandIn) -> list[Call]:
    return cloud.calls_to("POST", TRACES)


# --- Failures ---


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_is_refused_is_lost_and_counted_but_nothing_else_is(
    cloud: StandIn, session: UserSession, status: int
) -> None:
    spans = run_spans(session)
    cloud.fault("POST", TRACES, status=status)
    case(spans.collector.tracer, children=2)
    spans.flush()
    assert spans.lost == 3
    case(spans.collector.tracer, "second")
    spans.flush()
    assert spans.lost == 3
    assert [span.name for span in cloud.spans] == ["second"]


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"status": 503}, {"status": 429}, {"close": True}],
    ids=["500", "503", "429", "closed socket"],
)
def test_what_fails_for_a_moment_is_sent_again(
    cloud: StandIn, session: UserSession, fault: dict[str, object]
) -> None:
    spans = run_spans(session)
    cloud.fault("POST", TRACES, **fault)  # type: ignore[arg-type]
    case(spans.collector.tracer, children=2)
    spans.flush()
    assert spans.lost == 0
    assert len(cloud.spans) == 3
    assert len(exports(cloud)) == 2


@pytest.mark.parametrize("parent", ["playground_id:日本", "日本"])
def test_a_parent_that_no_header_can_carry_costs_the_spans_and_no_more(
    cloud: StandIn, session: UserSession, parent: str
) -> None:
    spans = run_spans(session, parent, limit=0.2)
    case(spans.collector.tracer)
    spans.flush()
    assert spans.lost == 1
    assert not cloud.spans


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_ends_the_session(
    cloud: StandIn, session: UserSession, status: int
) -> None:
    refused = threading.Event()
    session.on_refusal = refused.set
    spans = run_spans(session)
    cloud.fault("POST", TRACES, status=status)
    case(spans.collector.tracer)
    spans.flush()
    assert refused.is_set()


# --- Delivery ---


@pytest.mark.parametrize("kept", [5, 2000])
def test_the_spans_of_a_running_case_are_sent_on_demand_once_and_kept(
    cloud: StandIn, session: UserSession, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(collector, "MAX_CASE_SPANS", kept)
    spans = run_spans(session)
    root = spans.collector.tracer.start_span("eval")
    trace_id = root.get_span_context().trace_id
    for number in range(12):
        spans.collector.tracer.start_span(f"child-{number}", set_span_in_context(root)).end()
        if number % 4 == 1:
            spans.deliver_case(trace_id)
            assert [span.name for span in cloud.spans] == [f"child-{n}" for n in range(number + 1)]
            assert spans.collector.of_case(trace_id)[-1].name == f"child-{number}"
    calls = len(exports(cloud))
    spans.deliver_case(trace_id)
    spans.deliver_case(trace_id)
    assert len(exports(cloud)) == calls + 1
    root.end()
    spans.flush()
    assert [span.name for span in cloud.spans] == [*(f"child-{n}" for n in range(12)), "eval"]


def test_no_scorer_of_a_case_goes_on_while_another_one_still_queues_its_spans(
    cloud: StandIn, session: UserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = run_spans(session)
    root = spans.collector.tracer.start_span("eval")
    trace_id = root.get_span_context().trace_id
    spans.collector.tracer.start_span("task", set_span_in_context(root)).end()
    encoding, go_on = threading.Event(), threading.Event()
    encode, found = OtlpEncoder.encode, list[list[str]]()

    def slow(*arguments: Any) -> Any:
        encoding.set()
        assert go_on.wait(10)
        return encode(*arguments)

    def deliver() -> None:
        spans.deliver_case(trace_id)
        found.append([span.name for span in cloud.spans])

    monkeypatch.setattr(OtlpEncoder, "encode", slow)
    scorers = [threading.Thread(target=deliver) for _ in range(2)]
    scorers[0].start()
    assert encoding.wait(10)
    scorers[1].start()
    scorers[1].join(0.05)
    go_on.set()
    for each in scorers:
        each.join(10)
    assert found == [["task"], ["task"]]
    root.end()


def test_deliveries_of_many_threads_under_gevent_all_end() -> None:
    # Of a lock of gevent's, the fourth thread that waits for it may never hear.
    printed = python(
        """
        from gevent import monkey
        monkey.patch_all()
        import time
        import gevent
        from flask_braintrust_evals.cloud.tracing.pipeline import SpanPipeline
        from flask_braintrust_evals.concurrency.real_threads import start_real_thread
        from flask_braintrust_evals.tracing.processor import CaseSpanProcessor

        class Anything:
            def __getattr__(self, name):
                return ""

        processor = CaseSpanProcessor(lambda: None)
        pipeline = SpanPipeline(Anything(), "p", processor, 1.0)
        sleep = monkey.get_original("time", "sleep")
        pipeline.collector.deliver_ended = lambda trace_id: sleep(0.002)
        ended = []

        def deliver():
            pipeline.deliver_case(1)
            ended.append(1)

        for _ in range(6):
            start_real_thread(deliver)
        end = time.monotonic() + 20
        while len(ended) < 6 and time.monotonic() < end:
            gevent.sleep(0.01)
        print(len(ended))
        """
    )
    assert printed.split() == ["6"]


def test_spans_are_sent_when_they_are_flushed_and_once(
    cloud: StandIn, session: UserSession
) -> None:
    spans = run_spans(session)
    case(spans.collector.tracer, children=2)
    assert not exports(cloud)
    spans.flush()
    spans.flush()
    (call,) = exports(cloud)
    assert call.token == TOKEN
    assert call.headers["content-type"] == "application/x-protobuf"
    assert call.headers["x-bt-parent"] == "playground_id:p"
    assert call.headers["x-bt-org-name"] == "acme"
    assert sorted(span.name for span in cloud.spans) == ["child-0", "child-1", "eval"]
    (root,) = cloud.spans_named("eval")
    assert {span.trace_id for span in cloud.spans} == {root.trace_id}
    assert cloud.spans_named("child-0")[0].parent_span_id == root.span_id


def test_nothing_is_sent_where_there_is_nothing(cloud: StandIn, session: UserSession) -> None:
    run_spans(session).flush()
    assert not exports(cloud)


def test_many_spans_are_sent_in_batches_as_they_come_and_the_rest_at_the_end(
    cloud: StandIn, session: UserSession
) -> None:
    spans = run_spans(session)
    count = 2 * BATCH_SPANS + 100
    for number in range(count):
        case(spans.collector.tracer, f"eval-{number}")
    assert len(exports(cloud)) == 2
    spans.flush()
    assert len(exports(cloud)) == 3
    assert Counter(span.name for span in cloud.spans) == {f"eval-{n}": 1 for n in range(count)}


def test_a_case_larger_than_a_batch_is_delivered_whole(
    cloud: StandIn, session: UserSession
) -> None:
    spans = run_spans(session)
    case(spans.collector.tracer, children=2 * BATCH_SPANS)
    spans.flush()
    assert len(cloud.spans) == 2 * BATCH_SPANS + 1
    assert len({span.span_id for span in cloud.spans}) == 2 * BATCH_SPANS + 1
    assert spans.lost == 0


@pytest.mark.parametrize("text", ["a" * 900_000, "日" * 300_000], ids=["ascii", "three bytes each"])
def test_no_request_is_larger_than_braintrust_takes(
    cloud: StandIn, session: UserSession, text: str
) -> None:
    spans = run_spans(session)
    for _ in range(12):
        case(spans.collector.tracer, text=text)
    spans.flush()
    assert len(cloud.spans) == 12
    assert all(len(call.body) < 6_000_000 for call in exports(cloud))
    assert {span.attributes["text"] for span in cloud.spans} == {text}


def test_spans_of_many_threads_all_arrive_once(cloud: StandIn, session: UserSession) -> None:
    spans = run_spans(session)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: case(spans.collector.tracer, f"eval-{n}", children=2), range(400)))
    spans.flush()
    names = Counter(span.name for span in cloud.spans if span.name.startswith("eval-"))
    assert names == {f"eval-{n}": 1 for n in range(400)}
    assert len(cloud.spans) == 1200
    assert spans.lost == 0


def test_two_runs_never_mix(cloud: StandIn) -> None:
    cloud.add_user("token-of-bob", orgs=("globex",))
    endpoints = Endpoints(cloud.url, timeout=5)
    ada = log_in(Token(TOKEN), None, endpoints)
    bob = log_in(Token("token-of-bob"), None, endpoints)
    runs = {
        "ada": run_spans(ada, "playground_id:ada"),
        "ada-too": run_spans(ada, "project_id:ada-too"),
        "bob": run_spans(bob, "playground_id:bob"),
    }

    def work(name: str) -> None:
        for _ in range(150):
            case(runs[name].collector.tracer, name, children=1)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, [*runs, *runs]))
        list(pool.map(SpanPipeline.flush, runs.values()))
    found = Counter((s.name, s.token, s.parent_header) for s in cloud.spans if s.name in runs)
    assert found == {
        ("ada", TOKEN, "playground_id:ada"): 300,
        ("ada-too", TOKEN, "project_id:ada-too"): 300,
        ("bob", "token-of-bob", "playground_id:bob"): 300,
    }
    of_bob = {s.trace_id for s in cloud.spans if s.token == "token-of-bob"}
    assert of_bob.isdisjoint(s.trace_id for s in cloud.spans if s.token == TOKEN)
    for session in (ada, bob):
        session.close()


# --- The application's own telemetry ---


@pytest.fixture
def many_attributes() -> dict[str, str]:
    return {f"attribute-{n}": "x" * 100 for n in range(20)}


@pytest.fixture(
    params=[
        {"OTEL_TRACES_SAMPLER": "always_off"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "5"},
        {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "5"},
        {"OTEL_ATTRIBUTE_COUNT_LIMIT": "1"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1"},
        {"OTEL_SPAN_EVENT_COUNT_LIMIT": "0"},
        {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "0"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "0"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_PROPAGATORS": "none"},
    ],
    ids=lambda environ: next(iter(environ)),
)
def telemetry_settings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    yield


@pytest.mark.usefixtures("telemetry_settings")
def test_settings_of_the_applications_own_telemetry_change_nothing(
    cloud: StandIn, session: UserSession, many_attributes: dict[str, str]
) -> None:
    spans = run_spans(session)
    for _ in range(5):
        root = spans.collector.tracer.start_span("eval", attributes=many_attributes)
        root.record_exception(ValueError("x" * 100))
        root.end()
    spans.flush()
    assert len(cloud.spans) == 5
    for span in cloud.spans:
        assert {name: span.attributes.get(name) for name in many_attributes} == many_attributes
        ((event, attributes),) = span.events
        assert event == "exception"
        assert attributes["exception.message"] == "x" * 100


def test_more_attributes_than_the_sdk_keeps_by_default_do_not_push_ours_out(
    cloud: StandIn, session: UserSession
) -> None:
    spans = run_spans(session)
    root = spans.collector.tracer.start_span(
        "eval", attributes={"braintrust.input_json": json.dumps("in")}
    )
    for number in range(500):
        root.set_attribute(f"of-the-task-{number}", number)
    root.end()
    spans.flush()
    (span,) = cloud.spans
    assert span.json("braintrust.input_json") == "in"


def test_spans_of_a_run_do_not_change_the_global_tracer(session: UserSession) -> None:
    before = trace.get_tracer_provider()
    case(run_spans(session).collector.tracer)
    assert trace.get_tracer_provider() is before


# --- The process ---


def test_runs_keep_nothing_in_the_sdk(
    cloud: StandIn, session: UserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[object] = []
    monkeypatch.setattr(os, "register_at_fork", lambda **handlers: kept.append(handlers))
    router = CaseSpanProcessor(install=False)
    for number in range(5):
        spans = SpanPipeline(session, f"playground_id:{number}", router, LIMIT)
        case(spans.collector.tracer)
        spans.flush()
        spans.close()

    assert len(cloud.spans) == 5
    assert len(kept) <= 1  # of the provider that all of them share


def test_what_starts_after_a_run_has_closed_goes_nowhere(
    cloud: StandIn, session: UserSession
) -> None:
    spans = run_spans(session)
    root = spans.collector.tracer.start_span("eval")
    spans.close()
    spans.collector.tracer.start_span("late", set_span_in_context(root)).end()
    root.end()
    case(spans.collector.tracer, "later still")
    spans.flush()

    assert not cloud.spans


def test_the_runs_tracer_makes_spans_current_as_any_other(
    cloud: StandIn, session: UserSession
) -> None:
    spans = run_spans(session)
    with spans.collector.tracer.start_as_current_span("eval") as root:
        assert trace.get_current_span() is root
        with spans.collector.tracer.start_as_current_span("child", end_on_exit=False) as child:
            pass
        child.end()
    spans.flush()

    assert [span.name for span in cloud.spans] == ["child", "eval"]
    assert cloud.spans[0].parent_span_id == cloud.spans[1].span_id


def test_what_has_sent_its_spans_is_gone_without_a_garbage_collection(
    cloud: StandIn, session: UserSession
) -> None:
    gc.disable()
    try:
        spans = run_spans(session)
        case(spans.collector.tracer, children=2)
        spans.close()
        spans.flush()
        gone = weakref.ref(spans)
        del spans
        assert gone() is None
    finally:
        gc.enable()
    assert len(cloud.spans) == 3

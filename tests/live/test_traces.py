"""Traces of real runs: the application's spans arrive with ours, and in no other project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn
from tests.support import eventually

from .conftest import PLAYGROUND, WORKERS, environ

pytestmark = pytest.mark.live

INTAKE = "/otel/v1/traces"


def serve(cloud: StandIn, worker: str, spans: Path | None, **settings: str) -> Gunicorn:
    options = ("--threads", "40") if worker == "gthread" else ()
    variables = {**environ(cloud), **settings}
    if spans is not None:
        variables["APP_SPANS"] = str(spans)
    app = "tests.live.traced_app:create_app()"
    return Gunicorn(app, worker_class=worker, options=options, environ=variables)


@dataclass(frozen=True)
class Traced:
    """The traced application under one kind of worker, and the file of its own spans."""

    server: Gunicorn
    file: Path

    def client(self, token: str = "token-ada", org: str = "acme") -> Client:
        return Client(self.server.url + "/evals", token, org)

    def page(self) -> str:
        return requests.get(f"{self.server.url}/page", timeout=10).text

    def own_spans(self, last: str) -> list[dict[str, Any]]:
        """The application's own spans, once there is one whose name begins with ``last``."""

        def read() -> list[dict[str, Any]]:
            lines = self.file.read_text().splitlines() if self.file.exists() else []
            spans = [json.loads(line) for line in lines]
            return spans if any(span["name"].startswith(last) for span in spans) else []

        return eventually(read)


@pytest.fixture(scope="module", params=WORKERS)
def server_with_file(
    request: pytest.FixtureRequest, shared_cloud: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traced]:
    file = tmp_path_factory.mktemp("traced") / "app-spans"
    with serve(shared_cloud, request.param, file) as server:
        yield Traced(server, file)


@pytest.fixture
def traced(server_with_file: Traced, cloud: StandIn) -> Traced:
    server_with_file.file.unlink(missing_ok=True)
    return server_with_file


GEVENT_ONLY = pytest.mark.parametrize("server_with_file", ["gevent"], indirect=True)


def test_the_applications_spans_arrive_below_the_task_or_scorer_they_were_made_in(
    traced: Traced, cloud: StandIn
) -> None:
    assert traced.page() == "page"
    events = traced.client().run("traced", cases("x"), parent=PLAYGROUND)
    assert traced.page() == "page"
    scores = {name: each["score"] for name, each in events[-2].json["scores"].items()}
    assert scores == {"judged": 1, "awaited": 1}
    spans = {span.name: span for span in cloud.spans}
    assert set(spans) == {
        "eval",
        "task",
        "in task",
        "in thread",
        "chat",
        "judged",
        "in scorer",
        "awaited",
    }
    above = {
        name: next((n for n, s in spans.items() if s.span_id == span.parent_span_id), None)
        for name, span in spans.items()
    }
    assert above == {
        "eval": None,
        "task": "eval",
        "in task": "task",
        "in thread": "in task",
        "chat": "task",
        "judged": "eval",
        "in scorer": "judged",
        "awaited": "eval",
    }
    for span in spans.values():
        assert span.attributes["braintrust.parent"] == "playground_id:playground-1"
    # The application's own telemetry goes on as before: all its spans, untouched, and none of ours.
    own = traced.own_spans(last="POST")
    names = [span["name"] for span in own]
    assert {"in page", "in task", "in thread", "in scorer", "GET /page"} <= set(names)
    assert not {"eval", "task", "judged"} & set(names)
    assert not [span for span in own if "braintrust.parent" in span["attributes"]]


@GEVENT_ONLY
def test_a_request_in_the_name_of_a_case_shows_nothing_of_the_application(
    traced: Traced, cloud: StandIn
) -> None:
    events = traced.client().run("curious", cases("x"), parent=PLAYGROUND)
    assert outputs(events) == ["page"]
    assert {span.name for span in cloud.spans} == {"eval", "task"}
    (eval_span,) = cloud.spans_named("eval")
    own = {span["name"]: span for span in traced.own_spans(last="POST")}
    assert own["in page"]["trace_id"] == own["GET /page"]["trace_id"] == eval_span.trace_id


def test_the_request_is_linked_and_leaks_into_nothing(traced: Traced, cloud: StandIn) -> None:
    traced.client().run("traced", cases("x", "y"), parent=PLAYGROUND)
    traced.page()
    own = {span["name"]: span for span in traced.own_spans(last="POST")}
    request = next(span for name, span in own.items() if name.startswith("POST"))
    evals = cloud.spans_named("eval")
    assert len({span.trace_id for span in evals}) == 2
    for span in evals:
        assert span.parent_span_id == ""
        assert [link[:2] for link in span.links] == [(request["trace_id"], request["span_id"])]
    page = own["in page"]
    assert page["trace_id"] not in {request["trace_id"], *(span.trace_id for span in evals)}
    assert page["parent_id"] == own["GET /page"]["span_id"]
    assert own["GET /page"]["parent_id"] is None


def test_not_one_span_reaches_the_wrong_project(traced: Traced, cloud: StandIn) -> None:
    cloud.add_user("token-bob", orgs=("globex",))
    callers = [("token-ada", "acme"), ("token-bob", "globex")]

    def run(number: int) -> None:
        token, org = callers[number % 2]
        parent = {"object_type": "playground_logs", "object_id": f"playground-{number}"}
        name = "async-traced" if number % 4 < 2 else "traced"
        data = cases(*[f"{token}/{number}/{n}" for n in range(5)])
        assert len(outputs(traced.client(token, org).run(name, data, parent=parent))) == 5

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(run, range(20)))
    # A synchronous run of five cases: 8 spans each; an asynchronous one: 4 each.
    assert len(cloud.spans) == 10 * 5 * 8 + 10 * 5 * 4
    traces: dict[str, str] = {}
    for span in cloud.spans_named("task"):
        token, number, _ = span.json("braintrust.output_json").split("/")
        assert span.token == token
        assert span.parent_header == f"playground_id:playground-{number}"
        traces[span.trace_id] = span.parent_header
    for span in cloud.spans:
        assert span.parent_header == traces[span.trace_id]
        assert span.attributes["braintrust.parent"] == span.parent_header


@pytest.mark.parametrize(("setting", "arrives"), [("true", True), ("false", False)])
def test_without_a_tracer_provider_one_is_installed_only_when_asked_for(
    cloud: StandIn, setting: str, arrives: bool
) -> None:
    with serve(cloud, "gevent", None, BRAINTRUST_EVALS_TRACER_PROVIDER=setting) as server:
        Client(server.url + "/evals").run("async-traced", cases("x"), parent=PLAYGROUND)
    assert bool(cloud.spans_named("in coroutine")) == arrives
    assert len(cloud.spans_named("task")) == 1


def test_with_preload_and_several_workers_nothing_hangs_and_nothing_is_lost(
    cloud: StandIn, tmp_path: Path
) -> None:
    variables = {**environ(cloud), "APP_SPANS": str(tmp_path / "app-spans")}
    options = ("--preload", "--workers", "2")
    app = "tests.live.traced_app:create_app()"
    with Gunicorn(app, options=options, environ=variables) as server:

        def run(number: int) -> None:
            client = Client(server.url + "/evals")
            client.run("async-traced", cases(*range(10)), parent=PLAYGROUND)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(run, range(16)))
    assert len(cloud.spans_named("in coroutine")) == 16 * 10 * 2
    assert len(cloud.spans_named("eval")) == 16 * 10


def test_many_large_spans_of_one_case_are_all_delivered(traced: Traced, cloud: StandIn) -> None:
    events = traced.client().run("wordy", cases("x"), parent=PLAYGROUND)
    assert "lostSpans" not in events[-2].json
    assert len(cloud.spans_named("megabyte")) == 38
    assert max(len(call.body) for call in cloud.calls_to("POST", INTAKE)) < 6_000_000


def test_long_runs_export_as_they_go(gevent_client: Client, cloud: StandIn) -> None:
    stream = gevent_client.stream("echo", cases(*range(700)), parent=PLAYGROUND)
    for event in stream:
        if event.event == "summary":
            assert len(cloud.spans) == 700 * 4
    batches = cloud.calls_to("POST", INTAKE)
    assert len(batches) >= 5
    assert max(len(call.body) for call in batches) < 6_000_000


def test_large_values_are_cut_with_a_mark_and_still_valid(
    gevent_client: Client, cloud: StandIn
) -> None:
    huge = "é" * 650_000
    events = gevent_client.run("echo", cases({"text": huge}, "small"), parent=PLAYGROUND)
    assert {"text": huge} in outputs(events)
    large = next(s for s in cloud.spans_named("task") if len(str(s.attributes)) > 1000)
    recorded = large.json("braintrust.output_json")
    assert isinstance(recorded, str)
    assert recorded.startswith('{"text":"éé')
    assert recorded.endswith("… [cut: 1300011 bytes]")
    assert max(len(call.body) for call in cloud.calls_to("POST", INTAKE)) < 6_000_000
    assert len(cloud.recorded("playground_id:playground-1")) == 8


def test_a_passing_failure_of_the_intake_loses_nothing(
    gevent_client: Client, cloud: StandIn
) -> None:
    cloud.fault("POST", INTAKE, status=503)
    cloud.fault("POST", INTAKE, status=429, headers={"Retry-After": "0"})
    cloud.fault("POST", INTAKE, close=True)
    events = gevent_client.run("echo", cases("a"), parent=PLAYGROUND)
    assert "lostSpans" not in events[-2].json
    assert len(cloud.spans) == 4


@pytest.mark.parametrize(
    "fault", [{"status": 400}, {"status": 503}, {"close": True}], ids=["refused", "down", "closed"]
)
def test_a_run_ends_though_its_spans_cannot_be_delivered_and_says_how_many(
    cloud: StandIn, fault: dict[str, Any]
) -> None:
    settings = {**environ(cloud), "BRAINTRUST_EVALS_REQUEST_TIMEOUT": "1"}
    with Gunicorn(environ=settings) as server:
        client = Client(server.url + "/evals")
        cloud.fault("POST", INTAKE, times=None, **fault)
        events = client.run("echo", cases("a", "b"), parent=PLAYGROUND)
        assert [each.event for each in events[-2:]] == ["summary", "done"]
        assert events[-2].json["lostSpans"] == 8
        assert events[-2].json["scores"]["exact_match"]["score"] == 1
        log = server.log
    assert "8 spans" in log
    assert "8 spans lost" in log


def test_an_intake_that_refuses_the_token_ends_the_session(
    gevent_client: Client, cloud: StandIn
) -> None:
    cloud.add_user("token-fading")
    client = Client(gevent_client.url, "token-fading")
    client.manifest()
    cloud.fault("POST", INTAKE, status=401)
    client.run("echo", cases("a"), parent=PLAYGROUND)
    client.manifest()
    assert cloud.logins == 2

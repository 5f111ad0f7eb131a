"""The stand-in for Braintrust's cloud: its rules, and the official SDK as a witness."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from .standin import Call, StandIn

ADA = "token-of-ada"
BOB = "token-of-bob"
CAPITALS: list[dict[str, Any]] = [
    {"input": "France", "expected": "Paris", "tags": ["eu"]},
    {"input": "Japan", "expected": "Tokyo", "metadata": {"continent": "Asia"}},
    {"input": "Peru", "expected": "Lima"},
    {"input": "Chad", "expected": "N'Djamena"},
    {"input": "Fiji", "expected": "Suva"},
]
COUNTRIES = [row["input"] for row in CAPITALS]


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with StandIn() as standin:
        standin.add_user(ADA)
        standin.add_user(BOB, orgs=("globex",))
        yield standin


class Client:
    """A user of the stand-in over HTTP."""

    def __init__(self, url: str, token: str | None, **headers: str) -> None:
        self._url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(headers)
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self._url + path, timeout=20, **options)

    def get(self, path: str, **query: str) -> Any:
        return self._good(self("GET", path, params=query))

    def post(self, path: str, **body: Any) -> Any:
        return self._good(self("POST", path, json=body))

    def _good(self, response: requests.Response) -> Any:
        assert response.status_code == 200, response.text
        return response.json()


MakeClient = Callable[..., Client]


@pytest.fixture
def client(standin: StandIn) -> Iterator[MakeClient]:
    """Make clients of the stand-in, for a token and further headers."""
    made: list[Client] = []

    def make(token: str | None = ADA, **headers: str) -> Client:
        made.append(Client(standin.url, token, **headers))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


def btql(id: str, kind: str = "dataset", **query: Any) -> dict[str, Any]:
    source = {
        "op": "function",
        "name": {"op": "ident", "name": [kind]},
        "args": [{"op": "literal", "value": id}],
    }
    return {"select": [{"op": "star"}], "from": source, "limit": 1000, "cursor": None, **query}


def inputs(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["input"] for row in rows]


# --- Signing in ---


def test_login_lists_every_organisation_of_the_user_in_the_recorded_shape(
    standin: StandIn, client: MakeClient
) -> None:
    standin.add_user("both", orgs=("acme", "globex"))
    orgs = client("both")("POST", "/api/apikey/login").json()["org_info"]
    assert [org["name"] for org in orgs] == ["acme", "globex"]
    assert orgs[0] == {
        "id": standin.org_id("acme"),
        "name": "acme",
        "api_url": standin.url,
        "proxy_url": standin.url,
        "realtime_url": "wss://realtime.invalid",
        "git_metadata": None,
        "is_universal_api": None,
    }
    assert standin.logins == 1


@pytest.mark.parametrize("token", [None, "unknown", ""], ids=["absent", "unknown", "empty"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/apikey/login"), ("GET", "/v1/dataset"), ("POST", "/otel/v1/traces")],
)
def test_without_a_known_token_every_call_is_401(
    client: MakeClient, token: str | None, method: str, path: str
) -> None:
    response = client(token)(method, path)
    assert response.status_code == 401
    assert response.json()["Code"] == "UnauthorizedError"
    assert "unknown" not in response.text


def test_a_revoked_token_is_refused_from_then_on(standin: StandIn, client: MakeClient) -> None:
    ada = client()
    assert ada("POST", "/api/apikey/login").status_code == 200
    standin.revoke(ADA)
    assert ada("POST", "/api/apikey/login").status_code == 401
    assert ada("GET", "/v1/dataset").status_code == 401


# --- Organisations ---


def test_objects_of_another_organisation_are_403_by_id_and_missing_by_name(
    standin: StandIn, client: MakeClient
) -> None:
    dataset = standin.add_dataset("acme", "Geo", "capitals", CAPITALS)
    experiment = standin.add_experiment("acme", "Geo", "first")
    function = standin.add_function(lambda input: 1)
    project = standin.add_project("acme", "Geo")
    bob = client(BOB)
    by_id = [
        bob("GET", f"/v1/project/{project}"),
        bob("GET", f"/v1/dataset/{dataset}"),
        bob("POST", f"/v1/dataset/{dataset}/fetch", json={}),
        bob("POST", "/btql", json={"query": btql(dataset)}),
        bob("GET", f"/environment-object/dataset/{dataset}/production"),
        bob("GET", f"/v1/experiment/{experiment}"),
        bob("GET", f"/v1/experiment/{experiment}/summarize"),
        bob("POST", f"/v1/experiment/{experiment}/fetch", json={}),
        bob("POST", "/v1/experiment", json={"project_id": project}),
        bob("POST", "/v1/dataset", json={"project_id": project, "name": "mine"}),
        bob("POST", "/function/invoke", json={"function_id": function}),
        bob("POST", f"/v1/function/{function}/invoke", json={}),
    ]
    assert [response.status_code for response in by_id] == [403] * len(by_id)
    named = {"project_name": "Geo", "dataset_name": "capitals"}
    assert bob.get("/v1/dataset", **named) == {"objects": []}
    assert bob.get("/v1/dataset", **named, org_name="acme") == {"objects": []}
    assert bob.get("/v1/experiment", project_id=project) == {"objects": []}
    assert inputs(client().post(f"/v1/dataset/{dataset}/fetch")["events"]) == COUNTRIES


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/project/none", None),
        ("GET", "/v1/dataset/none", None),
        ("POST", "/v1/dataset/none/fetch", {}),
        ("POST", "/btql", {"query": btql("none")}),
        ("POST", "/v1/experiment", {"project_id": "none"}),
        ("GET", "/environment-object/dataset/none/production", None),
        ("POST", "/function/invoke", {"function_id": "none"}),
        ("POST", "/function/invoke", {"project_name": "Geo", "slug": "none"}),
        ("GET", "/v1/unheard-of", None),
    ],
)
def test_what_is_unknown_is_404(
    client: MakeClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    response = client()(method, path, json=body)
    assert response.status_code == 404
    assert response.json()["Code"] == "NotFoundError"


def test_an_id_of_another_kind_of_object_is_404(standin: StandIn, client: MakeClient) -> None:
    project = standin.add_project("acme", "Geo")
    assert client()("GET", f"/v1/dataset/{project}").status_code == 404


def test_the_organisation_header_must_name_one_of_the_users(client: MakeClient) -> None:
    assert client(**{"x-bt-org-name": "acme"})("GET", "/v1/dataset").status_code == 200
    assert client(**{"x-bt-org-name": "globex"})("GET", "/v1/dataset").status_code == 403


def test_a_user_of_several_organisations_has_to_say_where_a_project_belongs(
    standin: StandIn, client: MakeClient
) -> None:
    standin.add_user("both", orgs=("acme", "globex"))
    both = client("both")
    assert both("POST", "/v1/project", json={"name": "Geo"}).status_code == 400
    in_body = both.post("/v1/project", name="Geo", org_name="globex")
    in_header = client("both", **{"x-bt-org-name": "acme"}).post("/v1/project", name="Geo")
    assert in_body["org_id"] == standin.org_id("globex")
    assert in_header["org_id"] == standin.org_id("acme")
    foreign = both("POST", "/v1/project", json={"name": "Geo", "org_name": "initech"})
    assert foreign.status_code == 403


def test_the_wrong_method_is_405_and_a_malformed_body_is_400(client: MakeClient) -> None:
    ada = client()
    json_type = {"Content-Type": "application/json"}
    assert ada("DELETE", "/v1/project").status_code == 405
    assert ada("POST", "/v1/project", data="{", headers=json_type).status_code == 400
    assert ada("POST", "/v1/project", data='{"name": NaN}', headers=json_type).status_code == 400
    assert ada("POST", "/v1/project", data='{"name": "Geo"}').status_code == 400
    assert ada("POST", "/v1/project", json={"name": 1}).status_code == 400
    assert ada("POST", "/v1/project", json={}).status_code == 400


# --- Projects and experiments ---


def test_a_project_is_made_once_and_then_returned(standin: StandIn, client: MakeClient) -> None:
    ada = client()
    made = ada.post("/v1/project", name="Geo")
    assert ada.post("/v1/project", name="Geo") == made
    assert ada.get(f"/v1/project/{made['id']}") == made
    assert standin.add_project("acme", "Geo") == made["id"]
    assert made["name"] == "Geo"


def test_ensure_new_gives_a_taken_experiment_name_a_suffix(
    standin: StandIn, client: MakeClient
) -> None:
    ada = client()
    project = standin.add_project("acme", "Geo")
    first = ada.post("/v1/experiment", project_id=project, name="run", ensure_new=True)
    second = ada.post("/v1/experiment", project_id=project, name="run", ensure_new=True)
    again = ada.post("/v1/experiment", project_id=project, name="run")
    unnamed = ada.post("/v1/experiment", project_id=project, metadata={"model": "m"}, tags=None)
    assert first["name"] == "run"
    assert second["name"].startswith("run-")
    assert second["id"] != first["id"]
    assert again == first
    assert unnamed["name"]
    assert unnamed["metadata"] == {"model": "m"}
    assert [each["id"] for each in standin.experiments] == [
        first["id"],
        second["id"],
        unnamed["id"],
    ]


def test_an_experiment_is_found_by_project_id_and_by_project_name(
    standin: StandIn, client: MakeClient
) -> None:
    ada = client()
    id = standin.add_experiment("acme", "Geo", "run")
    standin.add_experiment("acme", "Other", "run")
    project = standin.add_project("acme", "Geo")
    by_id = ada.get("/v1/experiment", project_id=project, experiment_name="run")
    by_name = ada.get("/v1/experiment", project_name="Geo", experiment_name="run")
    assert [each["id"] for each in by_id["objects"]] == [id]
    assert by_name == by_id
    assert ada.get("/v1/experiment", project_name="Geo", experiment_name="other")["objects"] == []


def test_a_summary_compares_rows_with_the_base_experiment(
    standin: StandIn, client: MakeClient
) -> None:
    old = [{"input": "a", "scores": {"exact": 1}}, {"input": "b", "scores": {"exact": 0}}]
    new = [
        {"input": "a", "scores": {"exact": 0.5, "kind": 1}},
        {"input": "b", "scores": {"exact": 1, "kind": None}},
    ]
    standin.add_experiment("acme", "Geo & co", "old", old)
    id = standin.add_experiment("acme", "Geo & co", "new", new)
    ada = client()
    summary = ada.get(f"/v1/experiment/{id}/summarize", summarize_scores="true")
    project_url = f"{standin.url}/app/acme/p/Geo%20%26%20co"
    assert summary == {
        "project_name": "Geo & co",
        "experiment_name": "new",
        "project_url": project_url,
        "experiment_url": f"{project_url}/experiments/new",
        "comparison_experiment_name": "old",
        "scores": {
            "exact": {
                "name": "exact",
                "score": 0.75,
                "diff": 0.25,
                "improvements": 1,
                "regressions": 1,
            },
            "kind": {"name": "kind", "score": 1.0, "improvements": 0, "regressions": 0},
        },
        "metrics": {},
    }
    assert "scores" not in ada.get(f"/v1/experiment/{id}/summarize")


# --- Rows ---


def read_all(ada: Client, path: str, key: str, **body: Any) -> tuple[list[Any], int]:
    """All rows, and the number of pages it took."""
    rows: list[Any] = []
    cursor, pages = None, 0
    while True:
        if path == "/btql":
            body["query"]["cursor"] = cursor
        elif cursor is not None:
            body["cursor"] = cursor
        answer = ada.post(path, **body)
        rows += answer[key]
        cursor, pages = answer.get("cursor"), pages + 1
        if cursor is None:
            return rows, pages


def test_rows_are_filled_in_as_the_cloud_does_and_given_fields_stay(
    standin: StandIn, client: MakeClient
) -> None:
    rows: list[dict[str, Any]] = [
        {"input": 1},
        {"id": "mine", "_xact_id": "7", "input": None, "extra": [1]},
    ]
    id = standin.add_dataset("acme", "Geo", "numbers", rows)
    first, second = client().post(f"/v1/dataset/{id}/fetch")["events"]
    assert first["id"] and int(first["_xact_id"]) > 2**53
    assert first["created"].endswith("Z")
    assert first["dataset_id"] == id
    assert first["expected"] is first["metadata"] is first["tags"] is first["origin"] is None
    assert (second["id"], second["_xact_id"], second["extra"]) == ("mine", "7", [1])


@pytest.mark.parametrize(
    ("on_last", "pages"), [(True, 4), (False, 3)], ids=["empty last page", "full last page"]
)
@pytest.mark.parametrize("path", ["fetch", "btql"])
def test_rows_come_in_pages_no_larger_than_the_cap(
    standin: StandIn, client: MakeClient, path: str, on_last: bool, pages: int
) -> None:
    standin.page_size = 2
    standin.cursor_on_last_page = on_last
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS)
    if path == "fetch":
        rows, read = read_all(client(), f"/v1/dataset/{id}/fetch", "events", limit=1000)
    else:
        rows, read = read_all(client(), "/btql", "data", query=btql(id))
    assert inputs(rows) == COUNTRIES
    assert read == pages


def test_a_limit_below_the_cap_is_honoured(standin: StandIn, client: MakeClient) -> None:
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS)
    ada = client()
    assert inputs(ada.post(f"/v1/dataset/{id}/fetch", limit=3)["events"]) == COUNTRIES[:3]
    assert inputs(ada.post("/btql", query=btql(id, limit=3))["data"]) == COUNTRIES[:3]
    assert ada.post(f"/v1/dataset/{id}/fetch", limit=0) == {"events": []}
    assert ada("POST", f"/v1/dataset/{id}/fetch", json={"limit": -1}).status_code == 400


def test_a_cursor_is_good_for_its_own_query_only(standin: StandIn, client: MakeClient) -> None:
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS, versions={"5": CAPITALS})
    ada = client()
    cursor = ada.post(f"/v1/dataset/{id}/fetch", limit=1)["cursor"]
    for body in ({"cursor": cursor, "version": "5"}, {"cursor": "rubbish"}, {"cursor": 1}):
        assert ada("POST", f"/v1/dataset/{id}/fetch", json=body).status_code == 400


def test_versions_and_environments_give_older_rows(standin: StandIn, client: MakeClient) -> None:
    id = standin.add_dataset(
        "acme",
        "Geo",
        "capitals",
        CAPITALS,
        versions={"41": CAPITALS[:1]},
        environments={"production/eu": "41"},
    )
    ada = client()
    environment = ada.get(f"/environment-object/dataset/{id}/production%2Feu", org_name="acme")
    assert environment["object_version"] == "41"
    old = ada.post(f"/v1/dataset/{id}/fetch", version="41")["events"]
    assert [(row["input"], row["_xact_id"]) for row in old] == [("France", "41")]
    assert inputs(ada.post("/btql", query=btql(id), version="41")["data"]) == ["France"]
    latest = ada.post(f"/v1/dataset/{id}/fetch")["events"]
    third = latest[2]["_xact_id"]
    up_to_third = ada.post(f"/v1/dataset/{id}/fetch", version=third)["events"]
    assert inputs(up_to_third) == COUNTRIES[:3]
    assert ada("POST", f"/v1/dataset/{id}/fetch", json={"version": "v1"}).status_code == 400
    assert ada("GET", f"/environment-object/dataset/{id}/staging").status_code == 404


def test_fetch_counts_traces_and_btql_counts_rows(standin: StandIn, client: MakeClient) -> None:
    spans: list[dict[str, Any]] = [
        {"input": "a", "output": "A"},
        {"input": "a-task", "is_root": False},
        {"input": "b", "output": "B"},
        {"input": "b-task", "is_root": False},
    ]
    id = standin.add_experiment("acme", "Geo", "run", spans)
    ada = client()
    trace = ada.post(f"/v1/experiment/{id}/fetch", limit=1)["events"]
    assert [(row["input"], row["is_root"]) for row in trace] == [("a", True), ("a-task", False)]
    assert trace[1]["root_span_id"] == trace[0]["span_id"]
    assert inputs(ada.post("/btql", query=btql(id, "experiment", limit=1))["data"]) == ["a"]
    roots = {
        "op": "eq",
        "left": {"op": "ident", "name": ["is_root"]},
        "right": {"op": "literal", "value": True},
    }
    found = ada.post("/btql", query=btql(id, "experiment", filter=roots))["data"]
    assert inputs(found) == ["a", "b"]


def test_btql_that_is_not_played_is_refused_rather_than_misread(
    standin: StandIn, client: MakeClient
) -> None:
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS)
    ada = client()
    sort: dict[str, Any] = {"sort": [{"expr": {"op": "ident", "name": ["created"]}, "dir": "asc"}]}
    for query in ("select: *", btql(id, **sort), btql(id, filter={"op": "like"}), btql(id, "logs")):
        assert ada("POST", "/btql", json={"query": query}).status_code == 400


def test_a_dataset_is_found_by_name_or_made(standin: StandIn, client: MakeClient) -> None:
    ada = client()
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS, id="the-id")
    assert id == "the-id"
    project = standin.add_project("acme", "Geo")
    found = ada.get("/v1/dataset", project_name="Geo", dataset_name="capitals")["objects"]
    assert found == [ada.get("/v1/dataset/the-id")]
    assert found[0]["project_id"] == project
    assert ada.post("/v1/dataset", project_id=project, name="capitals") == found[0]
    assert ada.post("/v1/dataset", project_id=project, name="rivers")["id"] != id


# --- Functions ---


def test_functions_are_reached_by_every_kind_of_name(standin: StandIn, client: MakeClient) -> None:
    by_id = standin.add_function(lambda input: {"score": input["output"]})
    standin.add_function(lambda input: [0.5], slug="half", project="Geo")
    standin.add_function(lambda input: None, slug="Factuality")
    standin.add_function(lambda input: 1, slug="inline")
    standin.add_function(lambda input: 0, id="from-playground")
    ada = client(**{"x-bt-project-id": standin.add_project("acme", "Geo")})
    common = {"input": {"output": 0.25}, "stream": False, "mode": "auto", "strict": True}

    def invoke(**named: Any) -> Any:
        return ada.post("/function/invoke", **named, **common)

    assert invoke(function_id=by_id, version="1") == {"score": 0.25}
    assert invoke(project_name="Geo", slug="half") == [0.5]
    assert invoke(global_function="Factuality", function_type="scorer") is None
    assert invoke(inline_context={"runtime": "python", "version": "3.12"}, code="…") == 1
    assert invoke(prompt_session_id="s", prompt_session_function_id="from-playground") == 0
    assert ada.post(f"/v1/function/{by_id}/invoke", **common) == {"score": 0.25}


def test_a_function_that_fails_or_returns_no_json_is_500(
    standin: StandIn, client: MakeClient
) -> None:
    def broken(input: dict[str, Any]) -> None:
        raise ValueError("no such key")

    ada = client()
    for function in (broken, lambda input: float("nan")):
        id = standin.add_function(function)
        response = ada("POST", "/function/invoke", json={"function_id": id})
        assert response.status_code == 500
        assert "ValueError" in response.json()["Message"]
    assert (
        ada("POST", "/function/invoke", json={"function_id": id, "stream": True}).status_code == 400
    )
    assert ada("POST", "/function/invoke", json={}).status_code == 400


def test_the_slug_of_another_organisations_function_is_404(
    standin: StandIn, client: MakeClient
) -> None:
    standin.add_user("both", orgs=("acme", "globex"))
    standin.add_function(lambda input: 1, slug="exact", project="Geo", org="globex")
    named = {"project_name": "Geo", "slug": "exact"}
    assert client(ADA)("POST", "/function/invoke", json=named).status_code == 404
    as_acme = client("both", **{"x-bt-org-name": "acme"})
    assert as_acme("POST", "/function/invoke", json=named).status_code == 404
    assert client("both", **{"x-bt-org-name": "globex"}).post("/function/invoke", **named) == 1


# --- Spans ---


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


# --- Faults, gates and the journal ---


def test_calls_are_listed_with_what_was_sent(standin: StandIn, client: MakeClient) -> None:
    client(**{"X-Bt-Org-Name": "acme"})("POST", "/v1/project?a=1&b=", json={"name": "Geo"})
    (call,) = standin.calls_to("POST", "/v1/pro.*")
    assert (call.method, call.path, call.query) == ("POST", "/v1/project", {"a": "1", "b": ""})
    assert call.headers["x-bt-org-name"] == "acme"
    assert (call.json, call.token, call.status) == ({"name": "Geo"}, ADA, 200)
    assert standin.calls_to("GET", "/v1/pro.*") == standin.calls_to("*", "/v1") == []


def test_a_fault_skips_some_calls_and_is_played_a_number_of_times(
    standin: StandIn, client: MakeClient
) -> None:
    fault = standin.fault("GET", "/v1/dataset", status=503, after=1, times=2)
    ada = client()
    statuses = [ada("GET", "/v1/dataset").status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]
    assert fault.hits == 2
    assert ada("GET", "/v1/experiment").status_code == 200


def test_faults_are_played_in_the_order_they_were_set(standin: StandIn, client: MakeClient) -> None:
    standin.fault("GET", "/v1/.*", status=429, headers={"Retry-After": "1"})
    standin.fault("*", "/v1/dataset", body={"objects": "none"})
    lasting = standin.fault("*", ".*", status=500, body=b"boom", times=None)
    ada = client()
    first, second, third = (ada("GET", "/v1/dataset") for _ in range(3))
    assert (first.status_code, first.headers["Retry-After"]) == (429, "1")
    assert first.json()["Code"] == "TooManyRequestsError"
    assert (second.status_code, second.json()) == (200, {"objects": "none"})
    assert (third.status_code, third.content) == (500, b"boom")
    lasting.cancel()
    assert ada("GET", "/v1/dataset").status_code == 200


def test_a_closed_socket_and_half_an_answer_are_connection_errors(
    standin: StandIn, client: MakeClient
) -> None:
    ada = client()
    standin.fault("POST", "/v1/project", close=True)
    with pytest.raises(requests.ConnectionError):
        ada("POST", "/v1/project", json={"name": "lost"})
    standin.wait_for(lambda: len(standin.calls) == 1)
    assert standin.calls[0].status is None
    standin.fault("POST", "/v1/project", half=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ada("POST", "/v1/project", json={"name": "half"})
    assert ada("POST", "/v1/project", json={"name": "whole"}).status_code == 200


def test_nonsense_is_a_success_without_json(standin: StandIn, client: MakeClient) -> None:
    standin.fault("POST", "/api/apikey/login", nonsense=True)
    response = client()("POST", "/api/apikey/login")
    assert response.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()


def test_a_delay_comes_before_the_real_answer(standin: StandIn, client: MakeClient) -> None:
    standin.fault("GET", "/v1/dataset", delay=30)
    ada = client()
    with pytest.raises(requests.ReadTimeout):
        ada.session.get(f"{standin.url}/v1/dataset", timeout=0.1)
    (call,) = standin.wait_for(lambda: standin.calls)
    assert call.status is None
    standin.reset()
    assert ada("GET", "/v1/dataset").status_code == 401


def test_a_gate_holds_calls_until_it_is_released(standin: StandIn, client: MakeClient) -> None:
    ada = client()
    with ThreadPoolExecutor(3) as pool, standin.gate("GET", "/v1/dataset", after=1) as gate:
        assert ada("GET", "/v1/dataset").status_code == 200
        held = [pool.submit(client(), "GET", "/v1/dataset") for _ in range(3)]
        assert gate.reached.wait(10)
        standin.wait_for(lambda: gate.waiting == 3)
        assert not any(each.done() for each in held)
        assert [call.status for call in standin.calls] == [200, None, None, None]
        assert ada("GET", "/v1/experiment").status_code == 200
        gate.release()
        assert [each.result().status_code for each in held] == [200] * 3
    assert gate.waiting == 0


def test_what_happens_while_a_call_is_held_counts(standin: StandIn, client: MakeClient) -> None:
    with ThreadPoolExecutor(1) as pool, standin.gate("GET", "/v1/dataset") as gate:
        held = pool.submit(client(), "GET", "/v1/dataset")
        assert gate.reached.wait(10)
        standin.revoke(ADA)
        gate.release()
        assert held.result().status_code == 401


def test_wait_for_returns_what_it_waited_for_or_says_what_came_instead(
    standin: StandIn, client: MakeClient
) -> None:
    def answered() -> list[Call]:
        return [call for call in standin.calls if call.status == 200]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(standin.wait_for, answered)
        client()("GET", "/v1/dataset")
        (call,) = waiting.result()
    assert call.path == "/v1/dataset"
    with pytest.raises(TimeoutError, match="GET /v1/dataset -> 200"):
        standin.wait_for(lambda: standin.spans, timeout=0.01)


def test_reset_forgets_everything_but_the_address(standin: StandIn, client: MakeClient) -> None:
    url, project = standin.url, standin.add_project("acme", "Geo")
    standin.fault("*", ".*", status=500, times=None)
    standin.page_size = 1
    ada = client()
    assert ada("GET", "/v1/dataset").status_code == 500
    standin.reset()
    assert not standin.calls
    assert not standin.page_size
    assert standin.url == url
    assert ada("GET", "/v1/dataset").status_code == 401
    standin.add_user(ADA)
    assert ada("GET", f"/v1/project/{project}").status_code == 404
    assert standin.add_project("acme", "Geo") == project


def test_closing_ends_held_calls_and_open_connections(client: MakeClient) -> None:
    with StandIn() as standin, ThreadPoolExecutor(1) as pool:
        gate = standin.gate("*", ".*")
        ada = Client(standin.url, ADA)
        held = pool.submit(ada, "GET", "/v1/dataset")
        assert gate.reached.wait(10)
        standin.close()
        # The answer may still have got out before the connection was cut.
        assert isinstance(held.exception(), requests.RequestException | None)
        with pytest.raises(requests.ConnectionError):
            ada("GET", "/v1/dataset")
        ada.session.close()
    port = standin.url.rpartition(":")[2]
    assert not [thread for thread in threading.enumerate() if thread.name == f"standin-{port}"]


def test_one_connection_carries_many_calls(standin: StandIn, client: MakeClient) -> None:
    ada = client()
    for index in range(20):
        ada.post("/v1/project", name=f"p{index}")
    assert len({call.port for call in standin.calls}) == 1


# --- The official SDK as a witness ---


@pytest.fixture
def sdk(standin: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The official package, cut off from its environment and from every other host."""
    for name in [name for name in os.environ if name.startswith("BRAINTRUST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BRAINTRUST_APP_URL", standin.url)
    monkeypatch.setenv("BRAINTRUST_DISABLE_ATEXIT_FLUSH", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # Away from any .env.braintrust beside or above the checkout.
    monkeypatch.chdir(tmp_path)
    resolve = socket.getaddrinfo

    def resolve_loopback(host: str, *args: Any, **kwargs: Any) -> Any:
        assert host == "127.0.0.1", f"the SDK reached for {host}"
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_loopback)
    braintrust = pytest.importorskip("braintrust")
    braintrust.logger._internal_reset_global_state()
    yield braintrust
    braintrust.logger._close_login_state(braintrust.logger._state)
    braintrust.logger._internal_reset_global_state()


@pytest.fixture
def sign_in(sdk: Any, standin: StandIn) -> Iterator[Callable[..., Any]]:
    """Sign in through the SDK, apart from its global state, and give the state."""
    states: list[Any] = []

    def sign_in(token: str = ADA, org_name: str | None = None) -> Any:
        states.append(
            sdk.logger.login_to_state(app_url=standin.url, api_key=token, org_name=org_name)
        )
        return states[-1]

    yield sign_in
    for state in states:
        sdk.logger._close_login_state(state)


def test_the_sdk_signs_in_globally(sdk: Any, standin: StandIn) -> None:
    sdk.login(app_url=standin.url, api_key=ADA)
    assert sdk.org_id() == standin.org_id("acme")
    assert standin.logins == 1


def test_the_sdk_signs_in_to_the_organisation_it_names(
    standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    standin.add_user("both", orgs=("acme", "globex"))
    state = sign_in("both", "globex")
    assert (state.org_name, state.org_id) == ("globex", standin.org_id("globex"))
    assert state.api_url == state.proxy_url == standin.url


def test_the_sdk_is_refused_with_a_wrong_token_and_a_foreign_organisation(
    sign_in: Callable[..., Any],
) -> None:
    with pytest.raises(ValueError, match="Invalid API key"):
        sign_in("token-of-nobody")
    with pytest.raises(ValueError, match="globex not found. Must be one of acme"):
        sign_in(ADA, "globex")


@pytest.mark.parametrize("on_last", [True, False], ids=["empty last page", "full last page"])
@pytest.mark.parametrize("by", ["name", "id"])
def test_the_sdk_reads_a_dataset_over_several_pages(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any], by: str, on_last: bool
) -> None:
    standin.page_size = 2
    standin.cursor_on_last_page = on_last
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS)
    named = {"project": "Geo", "name": "capitals"} if by == "name" else {"dataset_id": id}
    dataset = sdk.init_dataset(**named, state=sign_in())
    rows = list(dataset)
    assert dataset.id == id
    assert dataset.project.name == "Geo"
    assert inputs(rows) == COUNTRIES
    assert rows[1]["expected"] == "Tokyo"
    assert dataset.version == rows[-1]["_xact_id"]
    assert len(standin.calls_to("POST", f"/v1/dataset/{id}/fetch")) == (4 if on_last else 3)


def test_the_sdk_reads_an_environment_and_a_version(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    standin.add_dataset(
        "acme",
        "Geo",
        "capitals",
        CAPITALS,
        versions={41: CAPITALS[:1], 42: CAPITALS[:2]},
        environments={"production/eu": 42},
    )
    state = sign_in()

    def read(**options: Any) -> list[Any]:
        return inputs(list(sdk.init_dataset("Geo", "capitals", state=state, **options)))

    assert read(environment="production/eu") == COUNTRIES[:2]
    assert read(version=41) == COUNTRIES[:1]
    assert read(version=41, environment="production/eu") == COUNTRIES[:1]
    with pytest.raises(Exception, match="No such environment"):
        read(environment="staging")


def test_the_sdk_reads_rows_with_internal_btql(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    standin.page_size = 2
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS, versions={"41": CAPITALS[:1]})
    state = sign_in()
    only_asia = {
        "op": "eq",
        "left": {"op": "ident", "name": ["metadata", "continent"]},
        "right": {"op": "literal", "value": "Asia"},
    }

    def read(btql: dict[str, Any], **options: Any) -> list[Any]:
        dataset = sdk.init_dataset(dataset_id=id, _internal_btql=btql, state=state, **options)
        return inputs(list(dataset))

    assert read({"limit": 3}) == COUNTRIES[:3]
    assert len(standin.calls_to("POST", "/btql")) == 2
    assert read({"limit": 100}) == COUNTRIES
    assert read({"filter": only_asia}) == ["Japan"]
    assert read({"limit": 3}, version="41") == COUNTRIES[:1]


def test_the_sdk_makes_the_project_and_the_dataset_it_does_not_find(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    dataset = sdk.init_dataset(project="New", name="empty", state=sign_in())
    assert list(dataset) == []
    assert dataset.project.id == standin.add_project("acme", "New")


def test_the_sdk_makes_summarises_and_reads_experiments(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    scored: list[dict[str, Any]] = [
        {"input": "a", "expected": "A", "output": "A", "scores": {"exact": 1}},
        {"input": "a-task", "is_root": False},
    ]
    standin.add_experiment("acme", "Geo", "run", scored)
    state = sign_in()
    made = sdk.init("Geo", experiment="run", state=state, set_current=False)
    assert made.name.startswith("run-")
    assert made.summarize().comparison_experiment_name == "run"
    opened = sdk.init("Geo", experiment="run", open=True, state=state, set_current=False)
    assert [case["input"] for case in opened.as_dataset()] == ["a"]


def test_the_sdk_invokes_a_function(sdk: Any, standin: StandIn) -> None:
    standin.add_function(lambda input: {"score": input["output"]}, slug="same", project="Geo")
    sdk.login(app_url=standin.url, api_key=ADA)
    given = {"output": 0.5}
    assert sdk.invoke(project_name="Geo", slug="same", input=given) == {"score": 0.5}
    with pytest.raises(Exception, match="No function has the slug"):
        sdk.invoke(project_name="Geo", slug="other", input=given)

"""Projects, experiments, rows and functions."""

from __future__ import annotations

from typing import Any

import pytest

from . import StandIn
from .support import ADA, CAPITALS, COUNTRIES, Client, MakeClient, btql, inputs

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

"""What the stand-in has for the SDK's own runs: logged rows and saved parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from . import StandIn
from .support import ADA, BOB

SCHEMA = {"type": "object", "properties": {"greeting": {"type": "string"}}}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


class Client:
    def __init__(self, standin: StandIn, session: requests.Session, token: str = ADA) -> None:
        self._url, self._session = standin.url, session
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **query: str) -> requests.Response:
        return self._session.get(self._url + path, params=query, headers=self._headers, timeout=20)

    def post(self, path: str, body: Any) -> requests.Response:
        return self._session.post(self._url + path, json=body, headers=self._headers, timeout=20)

    def log(self, *rows: dict[str, Any]) -> int:
        return self.post("/logs3", {"rows": rows, "api_version": 2}).status_code


@pytest.fixture
def ada(standin: StandIn, session: requests.Session) -> Client:
    return Client(standin, session)


@pytest.fixture
def bob(standin: StandIn, session: requests.Session) -> Client:
    return Client(standin, session, BOB)


def in_playground(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "prompt_session_id": "p-1", "log_id": "x", **fields}


# --- Logged rows ---


def test_logged_rows_are_kept_with_their_token_and_parent(standin: StandIn, ada: Client) -> None:
    project = standin.add_project("acme", "Geo")
    experiment = standin.add_experiment("acme", "Geo", "run")
    attributes = {"name": "exact", "type": "score"}
    assert ada.log(in_playground("a", span_attributes=attributes)) == 200
    assert ada.log({"id": "b", "experiment_id": experiment}) == 200
    assert ada.log({"id": "c", "project_id": project, "log_id": "g"}) == 200
    first, second, third = standin.rows
    assert (first.token, first.parent, first.name, first.type) == (
        ADA,
        "playground_id:p-1",
        "exact",
        "score",
    )
    assert (second.parent, second.name) == (f"experiment_id:{experiment}", None)
    assert third.parent == f"project_id:{project}"


def test_a_later_row_of_the_same_id_changes_the_one_before_it(
    standin: StandIn, ada: Client
) -> None:
    ada.log(in_playground("a", output=1, metrics={"start": 1}), in_playground("b", output=2))
    ada.log(in_playground("a", _is_merge=True, metrics={"end": 2}, tags=["t"]))
    ada.log(in_playground("b", _is_merge=False, tags=["u"]))
    first, second = (each.row for each in standin.rows)
    assert first == in_playground("a", output=1, metrics={"start": 1, "end": 2}, tags=["t"])
    assert second == in_playground("b", tags=["u"])
    ada.log(in_playground("b", _is_merge=True, tags=["v", "u"]))
    assert standin.rows[1].row["tags"] == ["u", "v"]
    ada.log({**in_playground("a"), "prompt_session_id": "p-2"})
    assert len(standin.rows) == 3


def test_rows_for_another_organisations_objects_are_refused_and_none_is_kept(
    standin: StandIn, ada: Client, bob: Client
) -> None:
    project = standin.add_project("acme", "Geo")
    experiment = standin.add_experiment("acme", "Geo", "run")
    assert bob.log(in_playground("a"), {"id": "b", "experiment_id": experiment}) == 403
    assert bob.log({"id": "b", "project_id": project, "log_id": "g"}) == 403
    assert ada.log({"id": "b", "experiment_id": "none"}) == 404
    assert standin.rows == []


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"rows": []},
        {"rows": [], "api_version": 1},
        {"rows": {}, "api_version": 2},
        {"rows": [1], "api_version": 2},
        {"rows": [in_playground("a"), {"id": "b"}], "api_version": 2},
        {"rows": [{"prompt_session_id": "p-1", "log_id": "x"}], "api_version": 2},
        {"rows": [{"id": "a", "dataset_id": "d"}], "api_version": 2},
    ],
)
def test_rows_that_make_no_sense_are_400(standin: StandIn, ada: Client, body: Any) -> None:
    assert ada.post("/logs3", body).status_code == 400
    assert standin.rows == []


def test_rows_and_limits_need_a_token(standin: StandIn, session: requests.Session) -> None:
    stranger = Client(standin, session, "unknown")
    assert stranger.log(in_playground("a")) == 401
    assert stranger.get("/version").status_code == 401
    assert stranger.get("/v1/function").status_code == 401


def test_a_summary_counts_the_scores_of_logged_rows(standin: StandIn, ada: Client) -> None:
    old = [{"input": "a", "scores": {"exact": 1}}]
    standin.add_experiment("acme", "Geo", "old", old)
    id = standin.add_experiment("acme", "Geo", "new")
    root = {"experiment_id": id, "root_span_id": "r"}
    ada.log({**root, "id": "1", "span_parents": None, "input": "a"})
    ada.log({**root, "id": "2", "span_parents": ["s"], "scores": {"exact": False, "kind": None}})
    summary = ada.get(f"/v1/experiment/{id}/summarize", summarize_scores="true").json()
    assert summary["scores"] == {
        "exact": {"name": "exact", "score": 0, "diff": -1, "improvements": 0, "regressions": 1}
    }


def test_rows_of_a_playground_are_read_by_their_author(
    standin: StandIn, ada: Client, bob: Client
) -> None:
    ada.log(
        in_playground("a", span_attributes={"type": "task"}),
        in_playground("b", span_attributes={"type": "score", "purpose": "scorer"}),
    )
    type_of = {"op": "ident", "name": ["span_attributes", "type"]}
    purpose = {"op": "ident", "name": ["span_attributes", "purpose"]}
    source = {
        "op": "function",
        "name": {"op": "ident", "name": ["playground_logs"]},
        "args": [{"op": "literal", "value": "p-1"}],
    }

    def read(client: Client, where: Any) -> list[str]:
        query = {"select": [{"op": "star"}], "from": source, "filter": where}
        return [row["id"] for row in client.post("/btql", {"query": query}).json()["data"]]

    def type_in(*values: str) -> dict[str, Any]:
        return {"op": "in", "left": type_of, "right": {"op": "literal", "value": list(values)}}

    assert read(ada, None) == ["a", "b"]
    assert read(ada, {"op": "isnull", "expr": purpose}) == ["a"]
    assert read(ada, type_in("score")) == ["b"]
    assert read(ada, type_in("score", "task")) == ["a", "b"]
    assert read(bob, None) == []


def test_reset_forgets_logged_rows_and_saved_parameters(standin: StandIn, ada: Client) -> None:
    standin.add_parameters("acme", "Geo", "config", SCHEMA, {})
    ada.log(in_playground("a"))
    standin.reset()
    standin.add_user(ADA)
    assert standin.rows == []
    assert ada.get("/v1/function").json() == {"objects": []}


# --- Saved parameters ---


def save(standin: StandIn) -> str:
    return standin.add_parameters(
        "acme",
        "Geo",
        "config",
        SCHEMA,
        {"greeting": "hello"},
        versions={"41": {"greeting": "older"}},
        environments={"production": "41"},
    )


def test_parameters_are_functions_with_a_schema_and_values(standin: StandIn, ada: Client) -> None:
    id = save(standin)
    (record,) = ada.get("/v1/function", project_name="Geo", slug="config").json()["objects"]
    assert record["id"] == id
    assert record["project_id"] == standin.add_project("acme", "Geo")
    assert record["function_data"] == {
        "type": "parameters",
        "__schema": SCHEMA,
        "data": {"greeting": "hello"},
    }
    assert ada.get(f"/v1/function/{id}").json() == record


def test_parameters_are_read_in_a_version_and_an_environment(standin: StandIn, ada: Client) -> None:
    id = save(standin)
    for query in ({"version": "41"}, {"environment": "production"}):
        (listed,) = ada.get("/v1/function", slug="config", **query).json()["objects"]
        assert listed == ada.get(f"/v1/function/{id}", **query).json()
        assert listed["_xact_id"] == "41"
        assert listed["function_data"]["data"] == {"greeting": "older"}
    for unknown in ({"version": "40"}, {"environment": "staging"}):
        assert ada.get("/v1/function", slug="config", **unknown).json() == {"objects": []}
        assert ada.get(f"/v1/function/{id}", **unknown).status_code == 404


def test_functions_are_found_by_project_and_slug_in_the_callers_organisations(
    standin: StandIn, ada: Client, bob: Client
) -> None:
    id = save(standin)
    scorer = standin.add_function(lambda input: 1, slug="scorer", project="Geo")
    listed = ada.get("/v1/function", project_name="Geo").json()["objects"]
    assert {each["id"] for each in listed} == {id, scorer}
    assert ada.get("/v1/function", project_name="Other").json() == {"objects": []}
    assert ada.get(f"/v1/function/{scorer}").json()["slug"] == "scorer"
    assert ada.get("/v1/function/none").status_code == 404
    assert bob.get("/v1/function", slug="config").json() == {"objects": []}
    assert bob.get(f"/v1/function/{id}").status_code == 403


# --- The official SDK as a witness ---


@pytest.fixture
def signed_in(standin: StandIn, sdk: Any) -> Any:
    """The official package, signed in globally."""
    sdk.login(app_url=standin.url, api_key=ADA)
    return sdk


def test_the_sdk_loads_saved_parameters(standin: StandIn, signed_in: Any) -> None:
    id = save(standin)
    latest = signed_in.load_parameters(project="Geo", slug="config")
    assert (latest.id, latest.schema, latest.data) == (id, SCHEMA, {"greeting": "hello"})
    assert signed_in.load_parameters(id=id).version == latest.version
    by_version = signed_in.load_parameters(project="Geo", slug="config", version="41")
    in_production = signed_in.load_parameters(
        project="Geo", slug="config", environment="production"
    )
    assert by_version.data == in_production.data == {"greeting": "older"}
    with pytest.raises(ValueError, match="other not found"):
        signed_in.load_parameters(project="Geo", slug="other")


def test_the_sdk_logs_spans_of_an_experiment_and_summarises_it(
    standin: StandIn, signed_in: Any
) -> None:
    experiment = signed_in.init("Geo", experiment="run", set_current=False)
    for input, score in (("a", 0), ("b", 1)):
        with experiment.start_span(name="eval", input=input) as span:
            with span.start_span(name="exact", type="score") as below:
                below.log(scores={"exact": score})
    summary = experiment.summarize()
    assert summary.scores["exact"].score == 0.5
    names = sorted(each.name or "" for each in standin.rows)
    assert names == ["eval", "eval", "exact", "exact"]
    assert {each.parent for each in standin.rows} == {f"experiment_id:{experiment.id}"}

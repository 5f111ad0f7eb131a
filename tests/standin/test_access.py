"""Who may do what: tokens, organisations, malformed requests."""

from __future__ import annotations

from typing import Any

import pytest

from . import StandIn
from .support import ADA, BOB, CAPITALS, COUNTRIES, MakeClient, btql, inputs

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

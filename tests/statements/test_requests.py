"""Requests: what is checked and in which order, what may be left out, and who is asked.

From the specification (``remote-evals/server/specification.md``) and the tests of the servers in
Ruby (``eval_service_test.rb``, ``eval_test.rb``), Go (``server_test.go``) and Python
(``test_server_integration.py``, ``test_dataset.py``).
"""

from __future__ import annotations

from typing import Any

import pytest

from flask_braintrust_evals import Evaluator
from tests.standin import StandIn
from tests.web.support import PLAYGROUND, Api, api_of, echo, error_of, types_of

CASE = {"input": "x"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({}, 400, id="nothing"),
        pytest.param({"name": "echo"}, 400, id="no data"),
        pytest.param({"data": []}, 400, id="no name"),
        pytest.param({"name": "", "data": []}, 404, id="empty name"),
        pytest.param({"name": "unheard-of", "data": []}, 404, id="unknown evaluator"),
        pytest.param({"name": "unheard-of"}, 404, id="unknown evaluator and no data"),
        pytest.param({"name": "echo", "data": {}}, 400, id="no source"),
        pytest.param({"name": "echo", "data": {"project_name": "p"}}, 400, id="project alone"),
        pytest.param(
            {"name": "echo", "data": {"data": [], "dataset_name": "d"}}, 400, id="list and name"
        ),
        pytest.param(
            {"name": "echo", "data": {"dataset_id": "i", "dataset_name": "d"}},
            400,
            id="id and name",
        ),
        pytest.param({"name": "echo", "data": {"dataset_id": "i"}}, 404, id="unknown dataset"),
        pytest.param({"name": "echo", "data": [CASE], "parameters": []}, 400, id="parameters"),
    ],
)
def test_what_is_wrong_has_a_status_and_a_text_and_starts_nothing(
    cloud: StandIn, api: Api, body: dict[str, Any], status: int
) -> None:
    assert error_of(api.post("/eval", json=body), status)
    assert not cloud.spans
    assert not cloud.experiments


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([], id="bare empty list"),
        pytest.param({"data": []}, id="empty list"),
        pytest.param([CASE], id="bare list"),
        pytest.param({"data": [CASE]}, id="list"),
        pytest.param({"data": [CASE], "source_dataset_id": "d"}, id="list from a dataset"),
        pytest.param({"data": [CASE], "dataset_id": None}, id="list and null"),
        pytest.param({"project_name": "p", "dataset_name": "d"}, id="dataset by name"),
        pytest.param({"dataset_name": "d"}, id="dataset by name without its project"),
        pytest.param({"experiment_name": "e", "project_name": "p"}, id="earlier experiment"),
    ],
)
def test_cases_may_come_from(cloud: StandIn, data: Any) -> None:
    cloud.add_dataset("acme", "p", "d", [CASE])
    cloud.add_experiment("acme", "p", "e", [CASE])
    api = api_of(cloud, Evaluator("echo", echo, project="p"))
    events = api.events(name="echo", data=data)
    assert types_of(events)[-2:] == ["summary", "done"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_run_is_asked_for_by_post_alone(api: Api, method: str) -> None:
    error_of(api.open(method, "/eval"), 405)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_list_has_no_body_and_either_method(api: Api, method: str) -> None:
    response = api.open(method, "/list")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert list(response.get_json()) == ["echo"]


def test_two_runs_without_a_name_are_two_experiments(cloud: StandIn, api: Api) -> None:
    for _ in range(2):
        assert types_of(api.events(data=[CASE], parent=None))[0] == "start"
    names = [experiment["name"] for experiment in cloud.experiments]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("reference", "query"),
    [("dataset_id", False), ("dataset_name", False), ("dataset_id", True), ("dataset_name", True)],
)
def test_an_environment_is_found_for_the_callers_organisation_and_pins_the_version(
    cloud: StandIn, api: Api, reference: str, query: bool
) -> None:
    dataset = cloud.add_dataset(
        "acme",
        "p",
        "d",
        [CASE],
        environments={"prod/stable": 2},
        versions={2: [{"input": "pinned"}]},
    )
    data: dict[str, Any] = {"dataset_environment": "prod/stable"}
    data |= (
        {"dataset_id": dataset}
        if reference == "dataset_id"
        else {"dataset_name": "d", "project_name": "p"}
    )
    if query:
        data["_internal_btql"] = {"limit": 10}
    assert api.outputs(name="echo", data=data, parent=PLAYGROUND) == ["pinned"]
    (call,) = cloud.calls_to("GET", "/environment-object/.*")
    assert call.query == {"org_name": "acme"}
    rows = cloud.calls_to("POST", "/btql" if query else "/v1/dataset/.*/fetch")
    assert {each.json["version"] for each in rows} == {"2"}


def test_a_version_makes_the_environment_unnecessary(cloud: StandIn, api: Api) -> None:
    dataset = cloud.add_dataset("acme", "p", "d", [CASE], versions={1: [{"input": "first"}]})
    data = {"dataset_id": dataset, "dataset_version": "1", "dataset_environment": "unheard-of"}
    assert api.outputs(name="echo", data=data) == ["first"]
    assert not cloud.calls_to("GET", "/environment-object/.*")

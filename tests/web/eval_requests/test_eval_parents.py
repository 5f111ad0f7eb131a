"""``POST /eval`` below a parent, such as a Playground: what is accepted, and what spans carry."""

from __future__ import annotations

from typing import Any

import pytest

from tests.standin import StandIn
from tests.web.support import (
    CASES,
    PLAYGROUND,
    Api,
    api_of,
    deltas,
    events_of,
    last_json,
    scored,
    types_of,
)

PARENTS = {
    "playground": (PLAYGROUND, "playground_id:the-playground"),
    "playground by its other type": (
        {"object_type": "playground_id", "object_id": "p"},
        "playground_id:p",
    ),
    "experiment": ({"object_type": "experiment", "object_id": "e"}, "experiment_id:e"),
    "logs": ({"object_type": "project_logs", "object_id": "g"}, "project_id:g"),
    "exported span": ("an-opaque-text", "an-opaque-text"),
}


@pytest.mark.parametrize(
    ("parent", "text"),
    [
        (
            {},
            "parent.object_type: expected one of playground_logs, playground_id, experiment,"
            " project_logs, got None",
        ),
        (
            {"object_type": "dataset", "object_id": "d"},
            "parent.object_type: expected one of playground_logs, playground_id, experiment,"
            " project_logs, got 'dataset'",
        ),
        (
            {"object_type": ["experiment"], "object_id": "d"},
            "parent.object_type: expected one of playground_logs, playground_id, experiment,"
            " project_logs, got ['experiment']",
        ),
        ({"object_type": "experiment"}, "parent.object_id: expected an id, got None"),
        (
            {"object_type": "experiment", "object_id": ""},
            "parent.object_id: expected an id, got ''",
        ),
        ({"object_type": "experiment", "object_id": 5}, "parent.object_id: expected an id, got 5"),
        (
            {"object_type": "experiment", "object_id": "a\r\nX-Evil: 1"},
            "parent.object_id: expected an id, got 'a\\r\\nX-Evil: 1'",
        ),
        ("", "parent: expected an object, or the text of an exported span"),
        ("a\nb", "parent: expected an object, or the text of an exported span"),
    ],
)
def test_a_parent_that_makes_no_sense_is_400(
    cloud: StandIn, api: Api, parent: Any, text: str
) -> None:
    assert api.refusal(400, data=CASES, parent=parent) == text
    assert not cloud.experiments


@pytest.mark.parametrize(
    "parent",
    [{"object_type": "playground_logs", "object_id": "日本"}, "日本"],
    ids=["object", "exported span"],
)
def test_a_parent_that_no_header_can_carry_is_400_or_costs_no_more_than_its_spans(
    api: Api, parent: Any
) -> None:
    response = api.eval(data=CASES, parent=parent)
    if response.status_code != 400:
        assert types_of(events_of(response))[-2:] == ["summary", "done"]


@pytest.mark.parametrize(("parent", "header"), PARENTS.values(), ids=PARENTS.keys())
def test_a_run_below_a_parent_makes_no_experiment_and_sends_its_spans_there(
    cloud: StandIn, parent: Any, header: str
) -> None:
    api = api_of(cloud, scored())
    events = api.events(name="greeter", data=CASES, parent=parent)
    assert types_of(events) == ["progress"] * 4 + ["summary", "done"]
    assert not cloud.calls_to("POST", "/v1/.*")
    assert {span.parent_header for span in cloud.spans} == {header}
    assert {span.attributes["braintrust.parent"] for span in cloud.spans} == {header}
    assert sorted(span.name for span in cloud.spans) == sorted(["eval", "task", "exact"] * 2)


def test_a_summary_below_a_parent_names_project_and_experiment_by_name_alone(
    cloud: StandIn,
) -> None:
    api = api_of(cloud, scored(project="Geo", experiment_name="mine"))
    summary = last_json(api.events(name="greeter", data=CASES), "summary")
    assert summary["metrics"].keys() == {"duration"}
    own = {name: summary.pop(name) for name in ("scores", "metrics")}
    assert own["scores"]["exact"]["score"] == 0.5
    assert summary == {
        "projectName": "Geo",
        "experimentName": "mine",
        "comparison": {"status": "success", **own},
    }


@pytest.mark.parametrize("by", ["body", "header", "evaluator", "logs", "experiment"])
def test_a_summary_below_a_parent_names_the_project_that_was_asked_for(
    cloud: StandIn, by: str
) -> None:
    project = cloud.add_project("acme", "Geo & co")
    experiment = cloud.add_experiment("acme", "Geo & co", "earlier run")
    parents = {
        "logs": {"object_type": "project_logs", "object_id": project},
        "experiment": {"object_type": "experiment", "object_id": experiment},
    }
    evaluator = scored(project="Own", project_id=project if by == "evaluator" else None)
    headers = {"x-bt-project-id": project} if by == "header" else {}
    body = {"project_id": project} if by == "body" else {}
    api = api_of(cloud, evaluator)
    for _ in range(2):
        events = api.events(
            headers, name="greeter", data=CASES, parent=parents.get(by, PLAYGROUND), **body
        )
        summary = last_json(events, "summary")
        assert (summary["projectName"], summary["projectId"]) == ("Geo & co", project)
        assert summary["projectUrl"] == f"{cloud.url}/app/acme/p/Geo%20%26%20co"
        if by == "experiment":
            assert (summary["experimentName"], summary["experimentId"]) == (
                "earlier run",
                experiment,
            )
            assert summary["experimentUrl"].endswith("/experiments/earlier%20run")
    assert len(cloud.calls_to("GET", "/v1/project/.*")) == 1, "the session keeps the name"


@pytest.mark.parametrize("status", [400, 403, 404, 500])
@pytest.mark.parametrize("parent", [PLAYGROUND, {"object_type": "experiment", "object_id": "e"}])
def test_a_project_that_cannot_be_found_below_a_parent_costs_its_name_alone(
    cloud: StandIn, parent: Any, status: int
) -> None:
    cloud.fault("GET", "/v1/.*", status=status, times=None)
    api = api_of(cloud, scored())
    for runs in (1, 2):
        events = api.events(name="greeter", data=CASES, parent=parent, project_id="the-id")
        summary = last_json(events, "summary")
        assert (summary["projectName"], summary["projectId"]) == ("greeter", "the-id")
        assert "projectUrl" not in summary
        assert len(cloud.calls_to("GET", "/v1/project/.*")) == runs, "one attempt in each run"
    assert len(cloud.calls_to("POST", "/api/apikey/login")) == 1, "the session is kept"


def test_a_run_without_braintrust_names_the_requested_project(local: Api) -> None:
    assert local.summary(data=[{"input": 1}], project_id="p")["projectId"] == "p"


@pytest.mark.parametrize("generation", ["v1", 3, {"a": [1]}])
def test_the_generation_of_the_playgrounds_run_is_in_every_span(
    cloud: StandIn, generation: Any
) -> None:
    api = api_of(cloud, scored())
    event = {"span_attributes": {"generation": generation}}
    api.events(name="greeter", data=CASES, parent={**PLAYGROUND, "propagated_event": event})
    assert len(cloud.spans) == 6
    for span in cloud.spans:
        assert span.json("braintrust.span_attributes")["generation"] == generation


@pytest.mark.parametrize(
    "event", [None, {}, {"span_attributes": None}, {"span_attributes": {}}, []]
)
def test_without_a_generation_there_is_none_in_the_spans(
    cloud: StandIn, api: Api, event: Any
) -> None:
    api.events(data=CASES, parent={**PLAYGROUND, "propagated_event": event})
    for span in cloud.spans:
        assert "generation" not in span.json("braintrust.span_attributes")


def test_the_id_of_a_case_is_that_of_its_eval_span(cloud: StandIn, api: Api) -> None:
    ids = {each["id"] for each in deltas(api.events(data=CASES))}
    assert ids == {span.span_id for span in cloud.spans_named("eval")}
    assert all(len(id) == 16 and int(id, 16) for id in ids)

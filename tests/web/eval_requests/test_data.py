"""Where the cases of a run come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals import EvalCase, EvalHooks, Evaluator
from flask_braintrust_evals.runs.sources.data import open_data
from flask_braintrust_evals.runs.spec import InlineCases
from tests.standin import StandIn
from tests.support import TOKEN
from tests.web.support import PLAYGROUND, Api, cloud_app, deltas, events_of, parse_events, types_of

SOURCES = (
    "give exactly one of: data.data (a list of cases), data.dataset_id, data.dataset_name (with"
    " data.project_name), data.experiment_name"
)
ROWS: list[dict[str, Any]] = [
    {"id": "r1", "_xact_id": "11", "created": "c1", "input": "France", "expected": "Paris"},
    {"id": "r2", "_xact_id": "12", "created": "c2", "input": "Japan", "metadata": {"eu": False}},
    {"id": "r3", "_xact_id": "13", "created": "c3", "input": "Peru", "tags": ["south"]},
    {"id": "r4", "_xact_id": "14", "created": "c4", "input": "Chad"},
    {"id": "r5", "_xact_id": "15", "created": "c5", "input": "Fiji"},
]
COUNTRIES = [row["input"] for row in ROWS]


def inputs(api: Api, data: Any) -> list[Any]:
    return api.outputs(name="echo", data=data)


def origins(api: Api, data: Any) -> list[Any]:
    return [each.get("origin") for each in deltas(api.events(data=data))]


@pytest.fixture
def dataset(cloud: StandIn) -> str:
    return cloud.add_dataset(
        "acme",
        "Geo & co",
        "capitals",
        ROWS,
        id="d1",
        versions={"41": ROWS[:1], "42": ROWS[:2]},
        environments={"production/eu": "42", "latest": "41"},
    )


# --- Which source ---


NO_SOURCES: list[tuple[Any, str]] = [
    (None, f"data: missing; {SOURCES}"),
    ("d1", f"data: got string; {SOURCES}"),
    (1, f"data: got integer; {SOURCES}"),
    (True, f"data: got boolean; {SOURCES}"),
    ({}, f"data: found none; {SOURCES}"),
    ({"project_name": "Geo"}, f"data: found none; {SOURCES}"),
    ({"dataset": "d1"}, f"data: found none; {SOURCES}"),
    ({"data": None, "dataset_id": None}, f"data: found none; {SOURCES}"),
    (
        {"data": [], "dataset_id": "d1"},
        f"data: found data.data and data.dataset_id; {SOURCES}",
    ),
    (
        {"dataset_id": "d1", "dataset_name": "capitals"},
        f"data: found data.dataset_id and data.dataset_name; {SOURCES}",
    ),
    (
        {"data": [], "dataset_name": "a", "experiment_name": "b"},
        f"data: found data.data and data.dataset_name and data.experiment_name; {SOURCES}",
    ),
    ({"data": {}}, "data.data: got object; expected an array of cases"),
    ({"data": "abc"}, "data.data: got string; expected an array of cases"),
    (
        {"data": [], "source_dataset_id": 5},
        "data.source_dataset_id: got integer; expected a string, not empty",
    ),
    ({"dataset_id": 5}, "data.dataset_id: got integer; expected a string, not empty"),
    ({"dataset_id": ""}, "data.dataset_id: got string; expected a string, not empty"),
    ({"dataset_name": []}, "data.dataset_name: got array; expected a string, not empty"),
    (
        {"dataset_name": "a", "project_name": 5},
        "data.project_name: got integer; expected a string, not empty",
    ),
    (
        {"experiment_name": {}},
        "data.experiment_name: got object; expected a string, not empty",
    ),
    (
        {"dataset_id": "d1", "dataset_version": 1.5},
        "data.dataset_version: got number; expected a string, not empty",
    ),
    (
        {"dataset_id": "d1", "dataset_version": True},
        "data.dataset_version: got boolean; expected a string, not empty",
    ),
    (
        {"dataset_id": "d1", "dataset_environment": 1},
        "data.dataset_environment: got integer; expected a string, not empty",
    ),
    (
        {"dataset_id": "d1", "_internal_btql": "select: *"},
        "data._internal_btql: got string; expected an object",
    ),
]
"""What ``data`` may not be, and what the answer says."""


def test_data_that_is_no_source_or_several_is_400_and_says_what_to_give(
    cloud: StandIn, api: Api, dataset: str
) -> None:
    for data, text in NO_SOURCES:
        assert api.refusal(400, data=data) == text
        assert not cloud.experiments, data


def test_data_that_is_not_given_at_all_is_reported_as_missing(api: Api) -> None:
    response = api.post("/eval", json={"name": "echo"})
    assert response.get_json() == {"error": f"data: missing; {SOURCES}"}


# --- Cases in the request ---


JUNK: list[tuple[Any, str]] = [
    (None, "got null; expected an object with an 'input'"),
    (1, "got integer; expected an object with an 'input'"),
    ("France", "got string; expected an object with an 'input'"),
    ([], "got array; expected an object with an 'input'"),
    ({}, "a case needs an 'input', but this one has only: "),
    ({"id": "a", "inputs": 1}, "a case needs an 'input', but this one has only: id, inputs"),
    ({"input": 1, "metadata": "m"}, "a case's 'metadata' must be an object, not a str"),
    ({"input": 1, "id": []}, "a case's 'id' must be a string or a number, not a list"),
    (
        {"input": 1, "tags": [1]},
        "a case's 'tags' must be a list of strings, and one of them is 1",
    ),
    ({"input": 1, "tags": {}}, "a case's 'tags' must be a list of strings, not {}"),
    (
        {"input": 1, "trial_count": 0},
        "a case's 'trial_count' must be a whole number from 1, not 0",
    ),
    (
        {"input": 1, "trial_count": "2"},
        "a case's 'trial_count' must be a whole number from 1, not '2'",
    ),
]
"""What is no case, and what the answer says."""


@pytest.mark.parametrize("bare", [True, False], ids=["bare array", "data.data"])
def test_a_junk_case_is_400_with_its_place_before_anything_runs(local: Api, bare: bool) -> None:
    for case, text in JUNK:
        cases = [{"input": 1}, case]
        refused = local.refusal(400, data=cases if bare else {"data": cases})
        assert refused == f"data.data[1]: {text}"


@pytest.mark.parametrize("bare", [True, False], ids=["bare array", "data.data"])
def test_cases_are_run_as_they_are_given(local: Api, bare: bool) -> None:
    cases = [
        {"input": None},
        {"input": {"a": [1, None]}, "expected": 0, "metadata": {"m": None}, "tags": ["x", "y"]},
        {"input": "", "expected": None, "metadata": None, "tags": None, "id": None, "origin": None},
        {"input": 1, "unknown": 1, "trial_count": 2},
    ]
    outputs = local.outputs(name="whole", data=cases if bare else {"data": cases})
    blank: dict[str, Any] = {"expected": None, "metadata": {}, "tags": [], "trial": 0}
    assert outputs == [
        {**blank, "input": None},
        {
            "input": {"a": [1, None]},
            "expected": 0,
            "metadata": {"m": None},
            "tags": ["x", "y"],
            "trial": 0,
        },
        {**blank, "input": ""},
        {**blank, "input": 1},
        {**blank, "input": 1, "trial": 1},
    ]


def test_no_cases_at_all_are_a_run_of_nothing(local: Api) -> None:
    assert types_of(local.events(data=[])) == ["summary", "done"]


def test_cases_that_come_from_a_dataset_have_its_rows_as_their_origins(local: Api) -> None:
    cases = [
        {"input": 1, "id": "r1", "_xact_id": "11", "created": "c1"},
        {"input": 2, "id": "r2"},
        {"input": 3},
        {"input": 4, "id": "r4", "origin": {"object_type": "experiment", "object_id": "e"}},
        {"input": 5, "id": 5, "_xact_id": 12, "created": 13},
        {"input": 6, "origin": {"object_type": "experiment", "object_id": "e", "id": "s"}},
    ]
    of_dataset = {"object_type": "dataset", "object_id": "d9"}
    assert origins(local, {"data": cases, "source_dataset_id": "d9"}) == [
        {**of_dataset, "id": "r1", "_xact_id": "11", "created": "c1"},
        {**of_dataset, "id": "r2"},
        None,
        # The client would refuse an event with the case's own origin, which has no id.
        {**of_dataset, "id": "r4"},
        {**of_dataset, "id": "5", "_xact_id": "12"},
        {"object_type": "experiment", "object_id": "e", "id": "s"},
    ]
    assert origins(local, {"data": cases, "source_dataset_id": None})[:5] == [None] * 5


# --- Datasets ---


@pytest.mark.parametrize(
    "data",
    [{"dataset_id": "d1"}, {"dataset_name": "capitals"}, {"experiment_name": "before"}],
    ids=["dataset by id", "dataset by name", "experiment"],
)
def test_what_is_in_braintrust_cannot_be_had_without_it(local: Api, data: dict[str, str]) -> None:
    (source,) = data
    assert local.refusal(400, data=data) == (
        f"data.{source} needs Braintrust, and this server runs without it; send the cases in"
        " data.data, or set BRAINTRUST_API_KEY"
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            {"dataset_id": "other"},
            "there is no dataset with the id 'other', or you may not see it; check the id and the"
            " organisation (Braintrust answered GET /v1/dataset/other with status 404: No dataset"
            " has the id 'other')",
        ),
        (
            {"dataset_name": "other", "project_name": "Geo & co"},
            "there is no dataset 'other' in project 'Geo & co', or you may not see it; check the"
            " name and the organisation",
        ),
        (
            {"dataset_name": "other"},
            "there is no dataset 'other', or you may not see it; check the name and the"
            " organisation",
        ),
        (
            {"dataset_id": "d1", "dataset_environment": "staging"},
            "dataset 'd1' has no version in an environment 'staging'; check the environment's name"
            " (Braintrust answered GET /environment-object/dataset/d1/staging with status 404: No"
            " such environment object)",
        ),
    ],
    ids=["by id", "by project and name", "by name", "environment"],
)
def test_a_dataset_that_is_not_there_is_404(
    cloud: StandIn, api: Api, dataset: str, data: dict[str, str], text: str
) -> None:
    assert api.refusal(404, data=data) == text
    assert not cloud.experiments


def test_a_dataset_of_another_organisation_is_403_by_id_and_not_found_by_name(
    cloud: StandIn, api: Api
) -> None:
    cloud.add_dataset("globex", "Geo", "secrets", ROWS, id="theirs")
    assert "No permission" in api.refusal(403, data={"dataset_id": "theirs"})
    api.refusal(404, data={"dataset_name": "secrets", "project_name": "Geo"})


def test_a_name_that_several_projects_have_needs_a_project(cloud: StandIn, api: Api) -> None:
    cloud.add_dataset("acme", "Geo", "capitals", ROWS[:1])
    cloud.add_dataset("acme", "Bio", "capitals", ROWS[1:2])
    assert api.refusal(400, data={"dataset_name": "capitals"}) == (
        "there are several datasets 'capitals'; give 'project_name' too"
    )
    data = {"dataset_name": "capitals", "project_name": "Bio"}
    assert inputs(api, data) == ["Japan"]


@pytest.mark.parametrize(
    "data",
    [
        {"dataset_id": "d1"},
        {"dataset_name": "capitals", "project_name": "Geo & co"},
        {"dataset_name": "capitals"},
        {"dataset_id": "d1", "dataset_version": None, "dataset_environment": None},
        {"dataset_id": "d1", "_internal_btql": None},
        {"dataset_id": "d1", "_internal_btql": {}},
        {"dataset_id": "d1", "data": None, "experiment_name": None},
    ],
)
def test_the_cases_of_a_dataset_are_its_rows_in_their_order(
    api: Api, dataset: str, data: dict[str, Any]
) -> None:
    blank: dict[str, Any] = {"expected": None, "metadata": {}, "tags": [], "trial": 0}
    assert api.outputs(name="whole", data=data) == [
        {**blank, "input": "France", "expected": "Paris"},
        {**blank, "input": "Japan", "metadata": {"eu": False}},
        {**blank, "input": "Peru", "tags": ["south"]},
        {**blank, "input": "Chad"},
        {**blank, "input": "Fiji"},
    ]


def test_attachments_in_the_rows_of_a_dataset_are_written_as_their_references(
    cloud: StandIn, api: Api
) -> None:
    image = {"type": "braintrust_attachment", "filename": "a.png", "content_type": "image/png"}
    image["key"] = "key-1"
    cloud.add_dataset("acme", "Geo", "images", [{"input": {"image": image}}], id="d3")
    (output,) = api.outputs(name="whole", data={"dataset_id": "d3"})
    assert output["input"] == {"image": image}


def test_the_origin_of_a_case_is_its_row(api: Api, dataset: str) -> None:
    assert origins(api, {"dataset_id": dataset})[:2] == [
        {
            "object_type": "dataset",
            "object_id": "d1",
            "id": "r1",
            "_xact_id": "11",
            "created": "c1",
        },
        {
            "object_type": "dataset",
            "object_id": "d1",
            "id": "r2",
            "_xact_id": "12",
            "created": "c2",
        },
    ]


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ({"dataset_version": "41"}, COUNTRIES[:1]),
        ({"dataset_version": 41}, COUNTRIES[:1]),
        ({"dataset_version": "13"}, COUNTRIES[:3]),
        ({"dataset_environment": "production/eu"}, COUNTRIES[:2]),
        ({"dataset_version": "41", "dataset_environment": "production/eu"}, COUNTRIES[:1]),
        ({"dataset_version": "42", "dataset_environment": "unknown"}, COUNTRIES[:2]),
        ({"dataset_version": "42", "_internal_btql": {"limit": 100}}, COUNTRIES[:2]),
        ({"dataset_environment": "latest", "_internal_btql": {"limit": 100}}, COUNTRIES[:1]),
    ],
)
def test_a_version_or_an_environment_gives_older_rows_and_the_version_wins(
    api: Api, dataset: str, options: dict[str, Any], read: list[str]
) -> None:
    assert inputs(api, {"dataset_id": dataset, **options}) == read


def test_a_version_too_large_for_a_float_is_kept_exactly(cloud: StandIn, api: Api) -> None:
    cloud.add_dataset("acme", "Geo", "big", ROWS, id="big")
    inputs(api, {"dataset_id": "big", "dataset_version": 1000195000000000001})
    (call,) = cloud.calls_to("POST", "/v1/dataset/big/fetch")[:1]
    assert call.json["version"] == "1000195000000000001"


@pytest.mark.parametrize("cursor_on_last_page", [True, False])
@pytest.mark.parametrize(
    ("btql", "read"),
    [
        ({"limit": 0}, []),
        ({"limit": 1}, COUNTRIES[:1]),
        ({"limit": 2}, COUNTRIES[:2]),
        ({"limit": 3}, COUNTRIES[:3]),
        ({"limit": 1000}, COUNTRIES),
        ({"limit": None}, COUNTRIES),
        (None, COUNTRIES),
    ],
)
def test_a_limit_caps_the_rows_over_all_pages(
    cloud: StandIn,
    api: Api,
    dataset: str,
    btql: dict[str, Any] | None,
    read: list[str],
    cursor_on_last_page: bool,
) -> None:
    cloud.page_size = 2
    cloud.cursor_on_last_page = cursor_on_last_page
    assert inputs(api, {"dataset_id": dataset, "_internal_btql": btql}) == read


def test_a_query_of_the_playground_is_sent_as_the_protocol_has_it(
    cloud: StandIn, api: Api, dataset: str
) -> None:
    only_japan = {
        "op": "eq",
        "left": {"op": "ident", "name": ["input"]},
        "right": {"op": "literal", "value": "Japan"},
    }
    data = {
        "dataset_id": dataset,
        "dataset_version": "42",
        "_internal_btql": {"filter": only_japan},
    }
    assert inputs(api, data) == ["Japan"]
    first, *_ = cloud.calls_to("POST", "/btql")
    assert first.json == {
        "query": {
            "select": [{"op": "star"}],
            "from": {
                "op": "function",
                "name": {"op": "ident", "name": ["dataset"]},
                "args": [{"op": "literal", "value": "d1"}],
            },
            "limit": 1000,
            "cursor": None,
            "filter": only_japan,
        },
        "use_columnstore": False,
        "brainstore_realtime": True,
        "version": "42",
    }


def test_a_row_that_comes_again_on_a_later_page_is_one_case(cloud: StandIn, api: Api) -> None:
    cloud.page_size = 2
    rows = [ROWS[0], ROWS[1], {**ROWS[0], "input": "old"}, ROWS[2]]
    cloud.add_dataset("acme", "Geo", "twice", rows, id="twice")
    assert inputs(api, {"dataset_id": "twice"}) == ["France", "Japan", "Peru"]
    data = {"dataset_id": "twice", "_internal_btql": {"limit": 3}}
    assert inputs(api, data) == ["France", "Japan", "Peru"]


def test_rows_are_fetched_when_they_are_needed(cloud: StandIn, api: Api, dataset: str) -> None:
    cloud.page_size = 1
    fetch = f"/v1/dataset/{dataset}/fetch"
    with cloud.gate("POST", fetch, after=1) as gate:
        response = api.eval(parent=PLAYGROUND, data={"dataset_id": dataset}, max_concurrency=1)
        chunks: Iterator[Any] = iter(response.response)
        first = next(chunks)
        assert b"France" in first
        # The second page is held, and no third can have been requested.
        assert gate.reached.wait(10)
        gate.release()
        rest = b"".join(chunks)
        response.close()
    assert [event.type for event in parse_events(rest)][-2:] == ["summary", "done"]
    assert all(country.encode() in first + rest for country in COUNTRIES)


def test_nothing_more_is_fetched_for_a_stream_that_was_closed(
    cloud: StandIn, api: Api, dataset: str
) -> None:
    cloud.page_size = 1
    fetch = f"/v1/dataset/{dataset}/fetch"
    with cloud.gate("POST", fetch, after=1) as gate:
        response = api.eval(parent=PLAYGROUND, data={"dataset_id": dataset}, max_concurrency=1)
        next(iter(response.response))
        assert gate.reached.wait(10)
        response.close()
    # The spans are sent once the last worker has left.
    cloud.wait_for(lambda: cloud.spans_named("eval"))
    assert len(cloud.calls_to("POST", fetch)) == 2


def test_a_page_that_fails_ends_the_run_with_an_error_after_the_cases_before_it(
    cloud: StandIn, api: Api, dataset: str
) -> None:
    cloud.page_size = 2
    cloud.fault("POST", f"/v1/dataset/{dataset}/fetch", status=500, after=1)
    events = api.events(data={"dataset_id": dataset})
    assert types_of(events)[-2:] == ["error", "done"]
    assert "summary" not in types_of(events)
    assert events[-2].json == (
        "Braintrust answered POST /v1/dataset/d1/fetch with status 500: InternalError"
    )
    outputs = [e.json["data"] for e in events[:-2] if e.json["event"] == "json_delta"]
    assert outputs == ['"France"', '"Japan"']


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"events": None}, "Braintrust's answer has no rows under 'events'"),
        ({"data": []}, "Braintrust's answer has no rows under 'events'"),
        ({"events": ["row"]}, "Braintrust's answer has no rows under 'events'"),
        ([], "Braintrust's answer has no rows under 'events'"),
        (b"", "Braintrust's answer has no rows under 'events'"),
        (b"<html>", "Braintrust's answer to POST /v1/dataset/d1/fetch is not JSON"),
    ],
)
def test_rows_that_make_no_sense_are_an_error_of_the_run(
    cloud: StandIn, api: Api, dataset: str, body: Any, text: str
) -> None:
    cloud.fault("POST", f"/v1/dataset/{dataset}/fetch", body=body)
    events = api.events(data={"dataset_id": dataset})
    assert [(event.type, event.data and event.json) for event in events] == [
        ("error", text),
        ("done", ""),
    ]
    cloud.fault("POST", f"/v1/dataset/{dataset}/fetch", body=body)
    assert api.refusal(502, data={"dataset_id": dataset}, stream=False) == text


def test_the_same_page_over_and_over_is_an_error_and_not_a_run_without_end(
    cloud: StandIn, api: Api, dataset: str
) -> None:
    page = {"events": [{"id": "a", "input": 1}], "cursor": "same"}
    cloud.fault("POST", f"/v1/dataset/{dataset}/fetch", body=page, times=None)
    events = api.events(data={"dataset_id": dataset})
    assert events[-2].json == "Braintrust's pages of dataset d1 have no end: a cursor came again"
    assert len(cloud.calls_to("POST", f"/v1/dataset/{dataset}/fetch")) == 2


def test_a_token_that_is_revoked_during_a_run_ends_it_and_the_session(
    cloud: StandIn, api: Api, dataset: str
) -> None:
    cloud.page_size = 2
    with cloud.gate("POST", f"/v1/dataset/{dataset}/fetch", after=1) as gate:
        response = api.eval(parent=PLAYGROUND, data={"dataset_id": dataset}, max_concurrency=1)
        chunks: Iterator[Any] = iter(response.response)
        first = next(chunks)
        cloud.revoke(TOKEN)
        gate.release()
        events = list(parse_events(first + b"".join(chunks)))
        response.close()
    assert types_of(events)[-2:] == ["error", "done"]
    assert "status 401" in events[-2].json
    logins = cloud.logins
    api.refusal(401, data=[])
    assert cloud.logins == logins + 1


# --- Experiments ---


@pytest.fixture
def experiment(cloud: StandIn) -> str:
    spans: list[dict[str, Any]] = [
        {"id": "e1", "_xact_id": "21", "created": "c1", "input": "a", "expected": "A"},
        {"id": "e1-task", "input": "a", "output": "x", "is_root": False},
        {"id": "e2", "_xact_id": "22", "created": "c2", "input": "b", "output": "B", "tags": ["t"]},
        {"id": "e3", "input": "c", "output": "wrong", "expected": "C", "metadata": {"m": 1}},
        {"id": "e4", "input": "d"},
    ]
    return cloud.add_experiment("acme", "echo", "before", spans)


def test_the_cases_of_an_experiment_are_its_root_spans(
    cloud: StandIn, api: Api, experiment: str
) -> None:
    cloud.add_experiment("acme", "Other", "before", [{"input": "wrong project"}])
    data = {"experiment_name": "before"}
    outputs = api.outputs(name="whole", data=data, project_id=cloud.add_project("acme", "echo"))
    # Where nothing was expected, what came out is what a rerun is compared with.
    assert [(each["input"], each["expected"]) for each in outputs] == [
        ("a", "A"),
        ("b", "B"),
        ("c", "C"),
        ("d", None),
    ]
    assert outputs[1]["tags"] == ["t"]
    assert outputs[2]["metadata"] == {"m": 1}


def test_rows_of_an_experiment_that_do_not_say_whether_they_are_roots_tell_by_their_ids(
    cloud: StandIn, api: Api
) -> None:
    row = {"is_root": None, "root_span_id": "1", "input": "a"}
    spans = [{**row, "span_id": "1"}, {**row, "span_id": "2"}]
    cloud.add_experiment("acme", "echo", "older", spans)
    assert inputs(api, {"experiment_name": "older"}) == ["a"]


@pytest.mark.parametrize(
    "missing", [{"_xact_id": None}, {"_xact_id": ""}, {"_xact_id": 5}], ids=str
)
def test_a_row_without_a_version_has_the_origin_that_it_names_itself(
    cloud: StandIn, api: Api, missing: dict[str, Any]
) -> None:
    span = {"object_type": "project_logs", "object_id": "p", "id": "s"}
    rows: list[dict[str, Any]] = [
        {"input": "a", **missing, "origin": span},
        {"input": "b", **missing},
        {"input": "c", **missing, "origin": {"object_type": "unknown"}},
        {"input": "d", "_xact_id": "7", "origin": span, "id": "r", "created": 5},
    ]
    cloud.add_dataset("acme", "Geo", "unversioned", rows, id="d2")
    assert origins(api, {"dataset_id": "d2"}) == [
        span,
        None,
        None,
        {"object_type": "dataset", "object_id": "d2", "id": "r", "_xact_id": "7"},
    ]


def test_the_origin_of_a_case_is_its_row_of_the_experiment(api: Api, experiment: str) -> None:
    assert origins(api, {"experiment_name": "before"})[0] == {
        "object_type": "experiment",
        "object_id": experiment,
        "id": "e1",
        "_xact_id": "21",
        "created": "c1",
    }


def test_an_experiment_that_is_not_there_is_404(cloud: StandIn, api: Api) -> None:
    text = api.refusal(404, data={"experiment_name": "other"})
    assert text == (
        "there is no experiment 'other' in project 'echo', or you may not see it; check the name"
        " and the organisation"
    )
    # Nothing has been made by a request that is refused, not even a project.
    assert not cloud.experiments
    assert not cloud.calls_to("POST", "/v1/project")


@pytest.mark.parametrize("field", ["base_experiment_name", "base_experiment_id"])
def test_a_base_experiment_that_is_not_there_is_404_before_anything_is_made(
    cloud: StandIn, api: Api, field: str
) -> None:
    named: dict[str, Any] = {field: "other"}
    assert "'other'" in api.refusal(404, data=[{"input": 1}], **named)
    assert not cloud.experiments
    assert not cloud.calls_to("POST", "/v1/project")


def test_an_experiment_may_be_of_another_project(cloud: StandIn, api: Api) -> None:
    cloud.add_experiment("acme", "elsewhere", "there", [{"input": 7, "is_root": True}])
    assert inputs(api, {"experiment_name": "there", "project_name": "elsewhere"}) == [7]


def test_an_experiments_rows_are_read_page_by_page(
    cloud: StandIn, api: Api, experiment: str
) -> None:
    cloud.page_size = 1
    assert inputs(api, {"experiment_name": "before"}) == ["a", "b", "c", "d"]


def test_cases_in_the_request_need_neither_session_nor_project() -> None:
    opened = open_data(InlineCases([EvalCase(1)]), None, {}, Evaluator("echo", str))
    assert isinstance(opened.cases, tuple | list)
    assert [case.input for case in opened.cases] == [1]
    assert (opened.dataset_id, opened.dataset_version) == (None, None)


def test_a_stream_of_cases_is_complete(api: Api, dataset: str) -> None:
    events = events_of(api.eval(parent=PLAYGROUND, data={"dataset_id": dataset}))
    assert types_of(events) == ["progress"] * 10 + ["summary", "done"]


def test_a_case_cannot_ask_for_more_trials_than_a_request(api: Api) -> None:
    refusal = api.refusal(400, name="echo", data=[{"input": 1, "trial_count": 10_001}])
    assert refusal == "data.data[0]: trial_count is 10001, and may be 10000 at most"


@pytest.mark.parametrize("lazily", [True, False], ids=["made by a function", "a list"])
def test_what_a_task_changes_of_own_data_is_seen_by_no_other_caller(
    cloud: StandIn, lazily: bool
) -> None:
    own = [{"input": {"messages": []}, "expected": []}]

    def chat(input: Any, hooks: EvalHooks) -> list[int]:
        input["messages"].append("x")
        hooks.expected.append("x")
        return [len(input["messages"]), len(hooks.expected)]

    evaluator = Evaluator("chat", chat, data=(lambda: own) if lazily else own)
    app = cloud_app(cloud, evaluator)
    cloud.add_user("token-of-bob")
    for token in (TOKEN, "token-of-bob", TOKEN):
        found = Api(app, token=token).outputs(name="chat", data={"own": True}, trial_count=2)
        assert found == [[1, 1], [1, 1]]
    assert own == [{"input": {"messages": []}, "expected": []}]


def test_trials_of_a_requests_cases_share_nothing(cloud: StandIn) -> None:
    def chat(input: Any) -> int:
        input.append("x")
        return len(input)

    api = Api(cloud_app(cloud, Evaluator("chat", chat)))
    cases = [{"input": []}, {"input": [1], "trial_count": 2}]
    assert api.outputs(name="chat", data=cases, trial_count=3) == [1, 1, 1, 2, 2]

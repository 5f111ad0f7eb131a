"""Projects, datasets, experiments, rows and functions of Braintrust."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.functions import invoke
from flask_braintrust_evals.cloud.objects import CloudObject
from flask_braintrust_evals.cloud.rows import fetch_rows
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.errors import (
    CloudError,
    CloudForbiddenError,
    CloudNotFoundError,
    CloudTimeoutError,
    RequestError,
)
from tests.standin import StandIn

PROJECT = CloudObject("p1", "Geo")
ROWS = [{"id": f"r{n}", "input": n} for n in range(5)]


# --- Looking up ---


@pytest.mark.parametrize("look_up", [objects.project_by_id, objects.dataset_by_id])
def test_missing_and_foreign_objects_are_different_errors(
    cloud: StandIn, session: UserSession, look_up: Any
) -> None:
    project = cloud.add_project("globex", "Geo")
    dataset = cloud.add_dataset("globex", "Geo", "d", [])
    with pytest.raises(CloudNotFoundError):
        look_up(session, "none")
    with pytest.raises(CloudForbiddenError):
        look_up(session, project if look_up is objects.project_by_id else dataset)


@pytest.mark.parametrize(
    "look_up",
    [
        lambda session: objects.project_by_id(session, "lost"),
        lambda session: objects.dataset_by_id(session, "lost"),
        lambda session: objects.experiment_by_id(session, "lost"),
        lambda session: objects.dataset_by_name(session, "Geo", "lost"),
        lambda session: objects.experiment_by_name(session, {"project_id": "p"}, "lost"),
        lambda session: objects.environment_version(session, "d", "lost"),
    ],
)
@pytest.mark.parametrize("status", [400, 404])
def test_what_is_not_there_is_not_found_with_its_name_however_braintrust_says_so(
    cloud: StandIn, session: UserSession, look_up: Callable[[UserSession], Any], status: int
) -> None:
    cloud.fault("GET", ".*", status=status, body={"Message": "Invalid uuid"})
    with pytest.raises(CloudNotFoundError, match=r"'lost'.*; check the .*: Invalid uuid\)$"):
        look_up(session)


@pytest.mark.parametrize("status", [409, 500])
def test_a_look_up_that_fails_is_not_taken_for_one_that_finds_nothing(
    cloud: StandIn, session: UserSession, status: int
) -> None:
    cloud.fault("GET", ".*", status=status, times=None)
    with pytest.raises(CloudError) as caught:
        objects.dataset_by_id(session, "d")
    assert caught.value.status == 502


@pytest.mark.parametrize(
    "answer", [b"", [], {}, {"id": None}, {"id": 5}, {"name": "Geo"}, {"objects": []}]
)
def test_an_answer_that_is_no_object_is_an_error(
    cloud: StandIn, session: UserSession, answer: Any
) -> None:
    cloud.fault("*", "/v1/.*", body=answer, times=None)
    look_ups: list[Callable[[], CloudObject]] = [
        lambda: objects.project_by_id(session, "p"),
        lambda: objects.project_by_name(session, "p"),
        lambda: objects.dataset_by_id(session, "d"),
        lambda: objects.create_experiment(session, PROJECT, {}),
    ]
    for look_up in look_ups:
        with pytest.raises(CloudError, match="not an object with an id"):
            look_up()


@pytest.mark.parametrize("id", ["a/b", "a?b=c", "a#b", "a b", "ä", "%2e%2e"])
def test_an_id_is_one_part_of_the_address(cloud: StandIn, session: UserSession, id: str) -> None:
    for look_up in (objects.project_by_id, objects.dataset_by_id, objects.summarize_experiment):
        with pytest.raises(CloudNotFoundError):
            look_up(session, id)
    paths = [call.path for call in cloud.calls[1:]]
    assert [path.count("/") for path in paths] == [3, 3, 4]
    assert not any(call.query and "b" in call.query for call in cloud.calls)


@pytest.mark.parametrize("id", [".", ".."])
def test_an_id_of_dots_does_not_lead_elsewhere(
    cloud: StandIn, session: UserSession, id: str
) -> None:
    with pytest.raises((CloudNotFoundError, RequestError)):
        objects.dataset_by_id(session, id)
    assert {call.path for call in cloud.calls[1:]} <= {f"/v1/dataset/{id}"}


def test_a_project_is_found_by_name_or_made(cloud: StandIn, session: UserSession) -> None:
    made = objects.project_by_name(session, "Geo & co")
    assert made == CloudObject(cloud.add_project("acme", "Geo & co"), "Geo & co")
    assert objects.project_by_name(session, "Geo & co") == made
    assert objects.project_by_id(session, made.id) == made
    assert cloud.calls_to("POST", "/v1/project")[0].json == {
        "name": "Geo & co",
        "org_name": "acme",
    }


def test_a_dataset_is_found_by_id_and_by_name(cloud: StandIn, session: UserSession) -> None:
    id = cloud.add_dataset("acme", "Geo & co", "d/1", [])
    found = CloudObject(id, "d/1", cloud.add_project("acme", "Geo & co"))
    assert objects.dataset_by_id(session, id) == found
    assert objects.dataset_by_name(session, "Geo & co", "d/1") == found
    assert objects.dataset_by_name(session, None, "d/1") == found
    named, unnamed = cloud.calls_to("GET", "/v1/dataset")
    assert named.query == {
        "project_name": "Geo & co",
        "dataset_name": "d/1",
        "org_name": "acme",
    }
    assert unnamed.query == {"dataset_name": "d/1", "org_name": "acme"}


@pytest.mark.parametrize("field", ["id", "name", "project_id"])
@pytest.mark.parametrize(
    ("value", "problem"), [("x" * 10_001, "of more than 10000 characters"), ([[]], "not a")]
)
def test_names_and_ids_of_answers_are_bounded(
    cloud: StandIn, session: UserSession, field: str, value: Any, problem: str
) -> None:
    body = {"id": "p", "name": "Geo", "project_id": "q"}
    cloud.fault("GET", "/v1/experiment/p", body={**body, field: value})
    with pytest.raises(CloudError, match=problem):
        objects.experiment_by_id(session, "p")


def test_an_unknown_name_is_reported_with_the_place(session: UserSession) -> None:
    with pytest.raises(CloudNotFoundError) as caught:
        objects.dataset_by_name(session, "Geo", "none")
    assert str(caught.value) == (
        "there is no dataset 'none' in project 'Geo', or you may not see it; check the name and the"
        " organisation"
    )
    with pytest.raises(CloudNotFoundError, match="there is no experiment 'none' in project 'p1'"):
        objects.experiment_by_name(session, {"project_id": PROJECT.id}, "none")


def test_a_name_that_several_have_needs_a_project(cloud: StandIn, session: UserSession) -> None:
    for project in ("Geo", "Bio"):
        cloud.add_dataset("acme", project, "d", [])
    with pytest.raises(RequestError) as caught:
        objects.dataset_by_name(session, None, "d")
    assert str(caught.value) == "there are several datasets 'd'; give 'project_name' too"


@pytest.mark.parametrize("answer", [b"", [], {}, {"objects": None}, {"objects": {}}])
def test_an_answer_that_lists_nothing_is_an_error(
    cloud: StandIn, session: UserSession, answer: Any
) -> None:
    cloud.fault("GET", "/v1/dataset", body=answer)
    with pytest.raises(CloudError, match="does not list datasets"):
        objects.dataset_by_name(session, None, "d")


def test_a_list_of_what_is_no_object_is_an_error(cloud: StandIn, session: UserSession) -> None:
    cloud.fault("GET", "/v1/dataset", body={"objects": ["d"]})
    with pytest.raises(CloudError, match="not an object with an id"):
        objects.dataset_by_name(session, None, "d")


# --- Environments ---


def test_an_environment_is_a_version(cloud: StandIn, session: UserSession) -> None:
    environments = {"a/b c?": 41}
    id = cloud.add_dataset("acme", "Geo", "d", [], environments=environments)
    assert objects.environment_version(session, id, "a/b c?") == "41"
    (call,) = cloud.calls_to("GET", "/environment-object/.*")
    assert call.path == f"/environment-object/dataset/{id}/a%2Fb%20c%3F"
    assert call.query == {"org_name": "acme"}
    with pytest.raises(CloudNotFoundError):
        objects.environment_version(session, id, "other")


@pytest.mark.parametrize("answer", [b"", [], {}, {"object_version": None}, {"object_version": 41}])
def test_an_environment_without_a_version_is_an_error(
    cloud: StandIn, session: UserSession, answer: Any
) -> None:
    cloud.fault("GET", "/environment-object/.*", body=answer)
    with pytest.raises(CloudNotFoundError) as caught:
        objects.environment_version(session, "d", "production")
    assert str(caught.value) == (
        "dataset 'd' has no version in an environment 'production'; check the environment's name"
    )


# --- Experiments ---


def test_an_experiment_is_made_anew_with_what_is_known(
    cloud: StandIn, session: UserSession
) -> None:
    project = objects.project_by_name(session, "Geo")
    fields = {"name": "run", "tags": ["a"], "metadata": None, "public": False, "base_exp_id": None}
    first = objects.create_experiment(session, project, fields)
    second = objects.create_experiment(session, project, fields)
    assert first.name == "run"
    assert second.name.startswith("run-")
    assert first.project_id == second.project_id == project.id
    assert cloud.calls_to("POST", "/v1/experiment")[0].json == {
        "name": "run",
        "tags": ["a"],
        "public": False,
        "project_id": project.id,
        "ensure_new": True,
    }
    assert objects.experiment_by_name(session, {"project_id": project.id}, "run") == first


def test_a_summary_compares_and_what_is_none_is_an_error(
    cloud: StandIn, session: UserSession
) -> None:
    cloud.add_experiment("acme", "Geo", "before")
    id = cloud.add_experiment("acme", "Geo", "run")
    assert objects.summarize_experiment(session, id)["comparison_experiment_name"] == "before"
    (call,) = cloud.calls_to("GET", "/v1/experiment/.*")
    assert call.query == {"summarize_scores": "true"}
    cloud.fault("GET", "/v1/experiment/.*", body=[])
    with pytest.raises(CloudError, match="not the summary of an experiment"):
        objects.summarize_experiment(session, id)


@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        ({"status": 404}, 1),
        ({"status": 500}, 2),
        ({"status": 429, "headers": {"Retry-After": "9"}}, 1),
    ],
    ids=["final", "transient", "later than there is time"],
)
def test_a_summary_is_tried_again_only_if_that_may_help_and_in_time(
    cloud: StandIn, session: UserSession, fault: dict[str, Any], attempts: int
) -> None:
    id = cloud.add_experiment("acme", "Geo", "run")
    cloud.fault("GET", "/v1/experiment/.*", times=None, **fault)
    began = time.monotonic()
    with pytest.raises(CloudError):
        objects.summarize_experiment(session, id, timeout=0.5)
    assert time.monotonic() - began < 5
    assert len(cloud.calls_to("GET", "/v1/experiment/.*")) == attempts


def test_a_summary_that_does_not_come_ends_with_the_time_that_it_has(
    cloud: StandIn, session: UserSession
) -> None:
    id = cloud.add_experiment("acme", "Geo", "run")
    with cloud.gate("GET", "/v1/experiment/.*"), pytest.raises(CloudTimeoutError):
        objects.summarize_experiment(session, id, timeout=0.2)


@pytest.mark.parametrize(
    ("project", "experiment", "path"),
    [
        ("Geo", "run", "/app/acme/p/Geo/experiments/run"),
        ("a/b", "c?d#e", "/app/acme/p/a%2Fb/experiments/c%3Fd%23e"),
        ("..", ".", "/app/acme/p/../experiments/."),
        ("Größe & co", "1 + 1", "/app/acme/p/Gr%C3%B6%C3%9Fe%20%26%20co/experiments/1%20%2B%201"),
    ],
)
def test_addresses_of_pages_are_quoted(
    cloud: StandIn, session: UserSession, project: str, experiment: str, path: str
) -> None:
    assert objects.experiment_url(session, project, experiment) == cloud.url + path
    assert path.startswith(objects.project_url(session, project).removeprefix(cloud.url))


# --- Rows ---


@pytest.mark.parametrize("cursor_on_last_page", [True, False])
@pytest.mark.parametrize(("page_size", "pages"), [(1, 5), (2, 3), (5, 1), (None, 1)])
@pytest.mark.parametrize("btql", [None, {"limit": None}])
def test_rows_are_read_to_the_last_page(
    cloud: StandIn,
    session: UserSession,
    page_size: int | None,
    pages: int,
    cursor_on_last_page: bool,
    btql: dict[str, Any] | None,
) -> None:
    cloud.page_size = page_size
    cloud.cursor_on_last_page = cursor_on_last_page
    id = cloud.add_dataset("acme", "Geo", "d", ROWS)
    rows = list(fetch_rows(session, "dataset", id, btql=btql))
    assert [row["input"] for row in rows] == [0, 1, 2, 3, 4]
    read = cloud.calls_to("POST", "/btql" if btql else f"/v1/dataset/{id}/fetch")
    assert len(read) == pages + cursor_on_last_page
    assert "version" not in read[0].json


def test_a_page_is_asked_for_with_the_largest_limit_and_its_cursor(
    cloud: StandIn, session: UserSession
) -> None:
    path = "/v1/dataset/d/fetch"
    cloud.fault("POST", path, body={"events": [{"id": "a"}], "cursor": "next"})
    cloud.fault("POST", path, body={"events": [{"id": "b"}], "cursor": ""})
    list(fetch_rows(session, "dataset", "d", version="41"))
    assert [call.json for call in cloud.calls_to("POST", path)] == [
        {"limit": 1000, "version": "41"},
        {"limit": 1000, "version": "41", "cursor": "next"},
    ]


def test_no_page_is_asked_for_before_it_is_needed(cloud: StandIn, session: UserSession) -> None:
    cloud.page_size = 2
    id = cloud.add_dataset("acme", "Geo", "d", ROWS)
    rows = fetch_rows(session, "dataset", id)
    counts = []
    for _ in range(5):
        counts.append(len(cloud.calls_to("POST", ".*/fetch")))
        next(rows)
    assert counts == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("limit", [2, 3])
def test_nothing_is_asked_for_beyond_a_limit(
    cloud: StandIn, session: UserSession, limit: int
) -> None:
    cloud.page_size = 2
    id = cloud.add_dataset("acme", "Geo", "d", ROWS)
    rows = list(fetch_rows(session, "dataset", id, btql={"limit": limit}))
    assert len(rows) == limit
    assert len(cloud.calls_to("POST", "/btql")) == (limit + 1) // 2


def test_rows_without_ids_are_all_kept(cloud: StandIn, session: UserSession) -> None:
    page = {"events": [{"input": 1}, {"input": 1}, {"id": None}, {"id": None}]}
    cloud.fault("POST", "/v1/dataset/d/fetch", body=page)
    assert list(fetch_rows(session, "dataset", "d")) == page["events"]


# --- Functions ---


@pytest.mark.parametrize(
    "function_id",
    [
        {"function_id": "f", "version": "1"},
        {"project_name": "Geo", "slug": "f"},
        {"global_function": "f", "function_type": "scorer"},
        {"inline_prompt": {"prompt": {"a": None}}, "unknown": []},
    ],
)
def test_a_function_is_invoked_as_the_protocol_has_it(
    cloud: StandIn, session: UserSession, function_id: dict[str, Any]
) -> None:
    cloud.fault("POST", "/function/invoke", body={"score": 1})
    parent = {"object_type": "experiment", "object_id": "e"}
    result = invoke(session, function_id, {"input": 1}, parent=parent, project_id="p", strict=False)
    assert result == {"score": 1}
    (call,) = cloud.calls_to("POST", "/function/invoke")
    assert call.json == {
        **function_id,
        "input": {"input": 1},
        "parent": parent,
        "stream": False,
        "mode": "auto",
        "strict": False,
    }
    assert call.headers["x-bt-project-id"] == "p"


def test_arguments_that_a_function_does_not_get_are_omitted(
    cloud: StandIn, session: UserSession
) -> None:
    cloud.fault("POST", "/function/invoke", body=b"null")
    assert invoke(session, {"function_id": "f"}, {}, parent=None, project_id=None) is None
    (call,) = cloud.calls_to("POST", "/function/invoke")
    assert "parent" not in call.json
    assert "x-bt-project-id" not in call.headers
    assert call.json["strict"] is True


@pytest.mark.parametrize("returned", [None, 0.5, 1, {"score": 1}, [{"name": "a", "score": 0}], []])
def test_what_a_function_returns_is_returned(
    cloud: StandIn, session: UserSession, returned: Any
) -> None:
    id = cloud.add_function(lambda input: returned)
    assert invoke(session, {"function_id": id}, {}, parent=None, project_id=None) == returned


def test_a_function_that_fails_is_an_error_with_its_text(
    cloud: StandIn, session: UserSession
) -> None:
    def broken(input: Any) -> None:
        raise ValueError("no such key")

    id = cloud.add_function(broken)
    with pytest.raises(CloudError, match="with status 500: ValueError: no such key"):
        invoke(session, {"function_id": id}, {}, parent=None, project_id=None)
    assert len(cloud.calls_to("POST", "/function/invoke")) == 1

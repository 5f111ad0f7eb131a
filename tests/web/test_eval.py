"""``POST /eval``: where a run is recorded, what it streams, and how it is answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from flask import current_app, has_request_context

from flask_braintrust_evals import EvalHooks, Evaluator
from tests.standin import StandIn

from .support import (
    PLAYGROUND,
    TOKEN,
    Api,
    Event,
    cloud_app,
    deltas,
    echo,
    error_of,
    events_of,
    last_json,
    make_app,
    types_of,
)

CASES = [{"input": "a", "expected": "a"}, {"input": "b", "expected": "x"}]
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


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def scored(name: str = "greeter", task: Callable[..., Any] = echo, **options: Any) -> Evaluator:
    return Evaluator(name, task, scores=[exact], **options)


def api_of(cloud: StandIn, *evaluators: Evaluator, **config: Any) -> Api:
    return Api(cloud_app(cloud, *evaluators, **config))


# --- Parents ---


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
    assert summary == {
        "projectName": "Geo",
        "experimentName": "mine",
        "scores": {"exact": {"name": "exact", "score": 0.5, "improvements": 0, "regressions": 0}},
        "metrics": {},
    }


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


# --- The project of an experiment ---


@pytest.mark.parametrize(
    ("in_body", "in_header", "own_id", "own_name", "project"),
    [
        (True, True, True, True, "By body"),
        (False, True, True, True, "By header"),
        (False, False, True, True, "By id"),
        (False, False, False, True, "By name"),
        (False, False, False, False, "greeter"),
        (True, False, False, False, "By body"),
        (False, True, False, False, "By header"),
        (True, True, False, False, "By body"),
    ],
)
def test_the_project_is_the_requests_else_the_evaluators_else_one_of_its_name(
    cloud: StandIn,
    in_body: bool,
    in_header: bool,
    own_id: bool,
    own_name: bool,
    project: str,
) -> None:
    def id_of(name: str, given: bool) -> str | None:
        return cloud.add_project("acme", name) if given else None

    evaluator = scored(project="By name" if own_name else None, project_id=id_of("By id", own_id))
    header = id_of("By header", in_header)
    headers = {} if header is None else {"x-bt-project-id": header}
    body = {"project_id": id_of("By body", in_body)}
    summary = api_of(cloud, evaluator).summary(headers, name="greeter", data=CASES, **body)
    assert summary["projectName"] == project
    assert summary["projectId"] == cloud.add_project("acme", project)
    (experiment,) = cloud.experiments
    assert experiment["project_id"] == summary["projectId"]


@pytest.mark.parametrize(("org", "status"), [("globex", 403), (None, 404)])
def test_a_project_that_is_not_the_callers_is_refused_and_nothing_is_made(
    cloud: StandIn, api: Api, org: str | None, status: int
) -> None:
    project = "none" if org is None else cloud.add_project(org, "Geo")
    api.refusal(status, data=CASES, project_id=project)
    assert not cloud.experiments
    assert not cloud.calls_to("POST", "/v1/.*")


# --- The experiment ---


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"data": None}),
        (400, {"data": [1]}),
        (400, {"parameters": {"mood": 5}}),
        (400, {"stream": "no"}),
        (404, {"data": {"dataset_id": "none"}}),
        (404, {"data": {"dataset_name": "none"}}),
        (404, {"data": {"experiment_name": "none"}}),
        (404, {"base_experiment_name": "none"}),
        (404, {"project_id": "none"}),
        (404, {"name": "other"}),
    ],
)
def test_an_experiment_is_made_only_when_everything_else_is_right(
    cloud: StandIn, status: int, body: dict[str, Any]
) -> None:
    parameters = {"mood": {"type": "string", "default": "calm"}}
    api = api_of(cloud, scored(parameters=parameters))
    api.refusal(status, **{"name": "greeter", "data": CASES, **body})
    assert not cloud.experiments
    assert not cloud.calls_to("POST", "/v1/experiment")


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_experiment_that_cannot_be_made_is_an_error_and_nothing_runs(
    cloud: StandIn, status: int
) -> None:
    ran: list[Any] = []
    api = api_of(cloud, scored(task=lambda input: ran.append(input)))
    cloud.fault("POST", "/v1/experiment", status=status)
    api.refusal(403 if status == 403 else 502, name="greeter", data=CASES)
    assert ran == []


def test_a_new_experiment_starts_the_stream_and_takes_the_spans(cloud: StandIn) -> None:
    api = api_of(cloud, scored(name="Größe & co"))
    events = api.events(name="Größe & co", data=CASES, parent=None, experiment_name="run 1/2")
    assert types_of(events) == ["start"] + ["progress"] * 4 + ["summary", "done"]
    project_url = f"{cloud.url}/app/acme/p/Gr%C3%B6%C3%9Fe%20%26%20co"
    (experiment,) = cloud.experiments
    start = last_json(events, "start")
    assert start == {
        "projectName": "Größe & co",
        "projectId": experiment["project_id"],
        "experimentId": experiment["id"],
        "experimentName": "run 1/2",
        "projectUrl": project_url,
        "experimentUrl": f"{project_url}/experiments/run%201%2F2",
    }
    summary = last_json(events, "summary")
    assert summary == {
        **start,
        "scores": {"exact": {"name": "exact", "score": 0.5, "improvements": 0, "regressions": 0}},
        "metrics": {},
    }
    assert {span.parent_header for span in cloud.spans} == {f"experiment_id:{experiment['id']}"}
    assert events[-1] == Event("done", "")


def test_an_experiment_whose_name_is_taken_gets_the_name_that_braintrust_gives_it(
    cloud: StandIn, api: Api
) -> None:
    first = api.summary(data=CASES, experiment_name="run")
    second = api.summary(data=CASES, experiment_name="run")
    assert first["experimentName"] == "run"
    assert second["experimentName"].startswith("run-")
    assert second["experimentUrl"].endswith(second["experimentName"])


def test_an_experiment_has_what_the_request_says_over_what_the_evaluator_says(
    cloud: StandIn,
) -> None:
    evaluator = scored(
        experiment_name="own",
        metadata={"a": 1, "b": 1},
        tags=["own"],
        description="Greets",
    )
    api = api_of(cloud, evaluator)
    api.summary(name="greeter", data=CASES)
    base = cloud.add_experiment("acme", "greeter", "base")
    api.summary(
        name="greeter",
        data=CASES,
        experiment_name="given",
        metadata={"b": 2, "c": None},
        tags=["given"],
        base_experiment_name="base",
        is_public=True,
    )
    own, given = (call.json for call in cloud.calls_to("POST", "/v1/experiment"))
    project = cloud.add_project("acme", "greeter")
    assert own == {
        "project_id": project,
        "ensure_new": True,
        "name": "own",
        "description": "Greets",
        "metadata": {"a": 1, "b": 1},
        "tags": ["own"],
    }
    assert given == {
        "project_id": project,
        "ensure_new": True,
        "name": "given",
        "description": "Greets",
        "metadata": {"a": 1, "b": 2, "c": None},
        "tags": ["given"],
        "base_exp_id": base,
        "public": True,
    }


def test_an_experiment_says_only_what_is_known(cloud: StandIn, api: Api) -> None:
    api.summary(data=CASES)
    (call,) = cloud.calls_to("POST", "/v1/experiment")
    project = cloud.add_project("acme", "echo")
    assert call.json == {"project_id": project, "ensure_new": True}


@pytest.mark.parametrize(
    ("options", "version"), [({}, None), ({"dataset_environment": "production"}, "41")]
)
def test_an_experiment_names_its_dataset_and_version(
    cloud: StandIn, api: Api, options: dict[str, Any], version: str | None
) -> None:
    id = cloud.add_dataset(
        "acme", "Geo", "d", CASES, versions={41: CASES}, environments={"production": 41}
    )
    api.summary(data={"dataset_name": "d", "project_name": "Geo", **options})
    (experiment,) = cloud.experiments
    assert (experiment["dataset_id"], experiment["dataset_version"]) == (id, version)


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_base_experiment_is_compared_with(cloud: StandIn, by: str) -> None:
    scores = [{"input": "a", "scores": {"exact": 0}}, {"input": "b", "scores": {"exact": 0}}]
    base = cloud.add_experiment("acme", "greeter", "base", scores)
    cloud.add_experiment("acme", "greeter", "later")
    named: dict[str, Any] = (
        {"base_experiment_id": base} if by == "id" else {"base_experiment_name": "base"}
    )
    summary = api_of(cloud, scored()).summary(name="greeter", data=CASES, **named)
    assert summary["comparisonExperimentName"] == "base"
    assert summary["scores"]["exact"] == {
        "name": "exact",
        "score": 0.5,
        "improvements": 1,
        "regressions": 0,
        "diff": 0.5,
    }


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"status": 404}, {"nonsense": True}, {"body": []}, {"half": True}],
    ids=["500", "404", "html", "array", "half an answer"],
)
def test_a_comparison_that_fails_costs_nothing_but_itself(
    cloud: StandIn, fault: dict[str, Any]
) -> None:
    api = api_of(cloud, scored())
    cloud.fault("GET", "/v1/experiment/.*/summarize", **fault)
    summary = api.summary(name="greeter", data=CASES)
    assert summary["scores"]["exact"]["score"] == 0.5
    assert "comparisonExperimentName" not in summary


def test_spans_arrive_before_the_comparison_is_asked_for(cloud: StandIn) -> None:
    api_of(cloud, scored()).summary(name="greeter", data=CASES)
    paths = [call.path for call in cloud.calls]
    (summarize,) = [path for path in paths if path.endswith("/summarize")]
    assert max(i for i, p in enumerate(paths) if p == "/otel/v1/traces") < paths.index(summarize)


@pytest.mark.parametrize(("status", "seconds"), [(400, 30), (503, 0.4)])
def test_spans_that_braintrust_does_not_take_are_counted(
    cloud: StandIn, status: int, seconds: float
) -> None:
    cloud.fault("POST", "/otel/v1/traces", status=status, times=None)
    api = api_of(cloud, scored(), BRAINTRUST_EVALS_REQUEST_TIMEOUT=seconds)
    summary = api.summary(name="greeter", data=CASES)
    assert summary["lostSpans"] == 6
    assert summary["scores"]["exact"]["score"] == 0.5


# --- Failures of the application's own code ---


def sometimes(input: Any) -> Any:
    if input == "b":
        raise ValueError("no such key")
    return input


def test_a_failing_case_is_told_of_and_every_other_case_goes_on(cloud: StandIn) -> None:
    api = api_of(cloud, scored(task=sometimes))
    cases = [{"input": each, "expected": "a"} for each in "abc"]
    events = api.events(name="greeter", data=cases)
    kinds = [event.json["event"] for event in events if event.type == "progress"]
    assert kinds == ["json_delta", "done", "error", "done", "json_delta", "done"]
    (failed,) = [e.json for e in events if e.type == "progress" and e.json["event"] == "error"]
    assert failed["data"] == "ValueError: no such key"
    summary = last_json(events, "summary")
    assert summary["scores"]["exact"]["score"] == 0.5
    assert summary["errors"] == {"cases": 1, "scorers": {}}


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (math.nan, '"NaN"'),
        ({1, 2}, "[1,2]"),
        (b"bytes", '"bytes"'),
        ({"a": None}, '{"a":null}'),
        ("lone \ud800 surrogate", '"lone \ufffd surrogate"'),
        ("line\nseparator \u2028", '"line\\nseparator \u2028"'),
    ],
    ids=["NaN", "set", "bytes", "null", "surrogate", "lines"],
)
def test_any_output_is_sound_json(local: Api, output: Any, text: str) -> None:
    api = Api(make_app(Evaluator("out", lambda input: output), BRAINTRUST_EVALS_AUTH="none"), None)
    (delta,) = deltas(api.events(name="out", data=[{"input": 1}]))
    assert delta["data"] == text


def test_an_output_without_a_json_form_fails_its_case_alone() -> None:
    def task(input: int) -> Any:
        return iter([1]) if input else 0

    api = Api(make_app(Evaluator("out", task), BRAINTRUST_EVALS_AUTH="none"), None)
    events = api.events(name="out", data=[{"input": 1}, {"input": 0}])
    kinds = [event.json["event"] for event in events if event.type == "progress"]
    assert kinds == ["error", "done", "json_delta", "done"]


def test_a_run_that_takes_too_long_is_an_error_event_or_a_500(cloud: StandIn) -> None:
    def wait(input: Any, hooks: EvalHooks) -> None:
        hooks.cancel_event.wait(20)

    api = api_of(cloud, Evaluator("slow", wait))
    text = "the run's time-out of 0.1 seconds was reached; 0 cases were done by then"
    events = api.events(name="slow", data=[{"input": 1}], timeout=0.1)
    assert types_of(events)[-2:] == ["error", "done"]
    assert events[-2].json == text
    assert api.refusal(500, name="slow", data=[{"input": 1}], timeout=0.1, stream=False) == text


# --- Options ---


def test_trials_and_what_a_task_reports_are_streamed(local: Api) -> None:
    def task(input: Any, hooks: EvalHooks) -> int:
        hooks.report_progress({"event": "text_delta", "data": "…"})
        return hooks.trial_index

    api = Api(make_app(Evaluator("t", task), BRAINTRUST_EVALS_AUTH="none"), None)
    events = api.events(name="t", data=[{"input": 1}], trial_count=3)
    bodies = [event.json for event in events if event.type == "progress"]
    assert [(b["event"], b["data"]) for b in bodies] == [
        pair
        for trial in "012"
        for pair in (("text_delta", "…"), ("json_delta", trial), ("done", ""))
    ]
    assert len({body["id"] for body in bodies}) == 3


def test_parameters_are_checked_and_given_to_the_task(local: Api) -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        return dict(hooks.parameters)

    parameters = {"mood": {"type": "string", "default": "calm"}, "count": {"type": "integer"}}
    evaluator = Evaluator("t", task, parameters=parameters)
    api = Api(make_app(evaluator, BRAINTRUST_EVALS_AUTH="none"), None)
    given = {"count": 3, "unknown": 1}
    assert api.outputs(name="t", data=[{"input": 1}], parameters=given) == [
        {"mood": "calm", "count": 3}
    ]
    assert "'count' is required" in api.refusal(400, name="t", data=[])
    wrong = {"count": "3"}
    assert "'count': '3' is not of type 'integer'" in api.refusal(
        400, name="t", data=[], parameters=wrong
    )


# --- Remote scorers ---


def test_scorers_of_the_request_are_added_to_the_evaluators_own(cloud: StandIn) -> None:
    seen: list[Any] = []

    def remote(input: Any) -> Any:
        seen.append(input)
        return {"score": 0.25}

    function = cloud.add_function(remote)
    parameters = {"mood": {"type": "string", "default": "calm"}}
    api = api_of(cloud, scored(parameters=parameters))
    cases = [{"input": "a", "expected": "a", "metadata": {"m": 1}}]
    scores = [{"name": "far", "function_id": {"function_id": function, "version": "1"}}]
    events = api.events(name="greeter", data=cases, scores=scores)
    assert {k: v["score"] for k, v in last_json(events, "summary")["scores"].items()} == {
        "exact": 1,
        "far": 0.25,
    }
    assert seen == [
        {
            "input": "a",
            "output": "a",
            "expected": "a",
            "metadata": {"m": 1},
            "parameters": {"mood": "calm"},
        }
    ]
    (call,) = cloud.calls_to("POST", "/function/invoke")
    (span,) = cloud.spans_named("far")
    assert call.token == TOKEN
    assert call.headers["x-bt-org-name"] == "acme"
    body = {key: call.json[key] for key in call.json if key not in ("input", "parent")}
    assert body == {
        "function_id": function,
        "version": "1",
        "stream": False,
        "mode": "auto",
        "strict": True,
    }
    # What the function records belongs below the scorer's span.
    assert call.json["parent"] == {
        **PLAYGROUND,
        "row_ids": {"id": span.span_id, "span_id": span.span_id, "root_span_id": span.trace_id},
    }


@pytest.mark.parametrize(("strict", "sent"), [(None, True), (True, True), (False, False)])
def test_a_remote_scorer_is_strict_unless_the_request_says_otherwise(
    cloud: StandIn, api: Api, strict: bool | None, sent: bool
) -> None:
    function = cloud.add_function(lambda input: 1)
    scores = [{"name": "far", "function_id": function}]
    api.events(data=CASES[:1], scores=scores, strict=strict)
    (call,) = cloud.calls_to("POST", "/function/invoke")
    assert call.json["strict"] is sent


def test_a_remote_scorer_that_fails_is_an_error_of_that_scorer_alone(cloud: StandIn) -> None:
    scores = [{"name": "far", "function_id": "none"}]
    events = api_of(cloud, scored()).events(name="greeter", data=CASES, scores=scores)
    summary = last_json(events, "summary")
    assert list(summary["scores"]) == ["exact"]
    assert summary["errors"] == {"cases": 0, "scorers": {"far": 2}}


def test_a_remote_scorer_of_a_name_that_is_taken_hides_nobody(cloud: StandIn) -> None:
    function = cloud.add_function(lambda input: 0.25)
    scores = [{"name": "exact", "function_id": function}]
    events = api_of(cloud, scored()).events(name="greeter", data=CASES[:1], scores=scores)
    assert {k: v["score"] for k, v in last_json(events, "summary")["scores"].items()} == {
        "exact": 1,
        "exact (2)": 0.25,
    }


@pytest.mark.parametrize(
    ("in_body", "in_header", "own", "sent"),
    [
        (None, None, None, None),
        (None, "By header", None, "By header"),
        ("By body", None, None, "By body"),
        (None, None, "By id", "By id"),
        ("By body", "By header", "By id", "By body"),
    ],
)
def test_a_remote_scorer_is_run_in_the_project_that_the_run_is_recorded_in(
    cloud: StandIn, in_body: str | None, in_header: str | None, own: str | None, sent: str | None
) -> None:
    def id_of(name: str | None) -> str | None:
        return None if name is None else cloud.add_project("acme", name)

    function = cloud.add_function(lambda input: 1)
    api = api_of(cloud, scored(project_id=id_of(own)))
    header = id_of(in_header)
    headers = {} if header is None else {"x-bt-project-id": header}
    scores = [{"name": "far", "function_id": function}]
    api.events(headers, name="greeter", data=CASES[:1], scores=scores, project_id=id_of(in_body))
    (call,) = cloud.calls_to("POST", "/function/invoke")
    assert call.headers.get("x-bt-project-id") == id_of(sent)


def test_a_remote_scorer_is_told_the_project_of_a_new_experiment(cloud: StandIn, api: Api) -> None:
    function = cloud.add_function(lambda input: 1)
    scores = [{"name": "far", "function_id": function}]
    api.summary(data=CASES[:1], scores=scores)
    (call,) = cloud.calls_to("POST", "/function/invoke")
    assert call.headers.get("x-bt-project-id") == cloud.add_project("acme", "echo")


# --- Stream or JSON ---


@pytest.mark.parametrize(
    ("stream", "accept", "streamed"),
    [
        (True, None, True),
        (True, "application/json", True),
        (False, None, False),
        (False, "text/event-stream", False),
        (None, None, True),
        (None, "*/*", True),
        (None, "text/event-stream", True),
        (None, "text/html", True),
        (None, "application/json", False),
        (None, "application/json, */*", False),
        (None, "application/json;q=0.1, text/html", False),
        (None, "Application/JSON", False),
        (None, "application/json; charset=utf-8", False),
        (None, "application/json;q=0", True),
        (None, "application/json, text/event-stream", True),
        (None, "text/event-stream;q=0.1, application/json", True),
        (None, "text/event-stream;q=0, application/json", False),
        (None, "", True),
    ],
)
@pytest.mark.parametrize("absent", [True, False], ids=["absent", "null"])
def test_the_answer_is_a_stream_unless_body_or_accept_header_ask_for_json(
    local: Api, stream: bool | None, accept: str | None, streamed: bool, absent: bool
) -> None:
    body = {} if stream is None and absent else {"stream": stream}
    headers = {} if accept is None else {"Accept": accept}
    response = local.eval(headers, **{"data": [{"input": 1}], **body})
    expected = "text/event-stream" if streamed else "application/json"
    assert (response.status_code, response.mimetype) == (200, expected)
    if streamed:
        assert types_of(events_of(response))[-2:] == ["summary", "done"]
    else:
        assert response.get_json()["scores"] == {}


@pytest.mark.parametrize("stream", [True, False, None])
def test_what_is_wrong_before_a_stream_starts_is_json_either_way(
    local: Api, stream: bool | None
) -> None:
    headers = {"Accept": "text/event-stream"}
    error_of(local.eval(headers, name="other", stream=stream), 404)


def test_summary_and_stream_say_the_same(cloud: StandIn) -> None:
    api = api_of(cloud, scored())
    streamed = last_json(api.events(name="greeter", data=CASES, parent=PLAYGROUND), "summary")
    assert api.summary(name="greeter", data=CASES, parent=PLAYGROUND) == streamed


def test_tasks_run_in_the_applications_context_and_not_in_the_requests() -> None:
    def task(input: Any) -> Any:
        return [current_app.config["COLOUR"], has_request_context()]

    app = make_app(Evaluator("t", task), BRAINTRUST_EVALS_AUTH="none", COLOUR="blue")
    assert Api(app, None).outputs(name="t", data=[{"input": 1}]) == [["blue", False]]


def test_more_runs_than_the_process_may_have_are_503_until_one_has_ended(cloud: StandIn) -> None:
    api = api_of(cloud, scored(), BRAINTRUST_EVALS_MAX_RUNS=1)
    first = api.eval(name="greeter", data=CASES, parent=PLAYGROUND)
    response = api.eval(name="greeter", data=CASES, parent=PLAYGROUND)
    assert "BRAINTRUST_EVALS_MAX_RUNS" in error_of(response, 503)
    assert response.headers["Retry-After"] == "5"
    assert events_of(first)[-1].type == "done"
    first.close()
    for status in (404, 400, 200):  # refused requests give their places back
        body: dict[int, dict[str, Any]] = {404: {"name": "other"}, 400: {"data": None}, 200: {}}
        response = api.eval(**{"name": "greeter", "data": CASES, "stream": False, **body[status]})
        assert response.status_code == status

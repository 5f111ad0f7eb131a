"""``POST /eval`` without a parent: the experiment that it makes, its project and comparison."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry.trace import get_current_span

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.web.answers.stopping import GracePeriod
from tests.standin import StandIn
from tests.support import TOKEN, happens
from tests.web.support import CASES, Api, Event, api_of, last_json, scored, types_of

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


def test_an_evaluator_runs_before_its_base_experiment_exists(
    cloud: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    api = api_of(cloud, scored(base_experiment_name="nightly"))
    assert api.summary(name="greeter", data=CASES)["scores"]["exact"]["score"] == 0.5
    (call,) = cloud.calls_to("POST", "/v1/experiment")
    assert "base_exp_id" not in call.json
    assert "'greeter': there is no experiment 'nightly' in project 'greeter'" in caplog.text
    # The request's own is another matter, and so is any other failure.
    assert "'other'" in api.refusal(404, name="greeter", data=CASES, base_experiment_name="other")
    cloud.fault("GET", "/v1/experiment", status=403)
    api.refusal(403, name="greeter", data=CASES)


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
    (duration,) = metrics = summary["metrics"]
    assert duration == "duration"
    scores = {"exact": {"name": "exact", "score": 0.5, "improvements": 0, "regressions": 0}}
    assert summary == {
        **start,
        "scores": scores,
        "metrics": metrics,
        "comparison": {"status": "success", "scores": scores, "metrics": metrics},
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
    ("project", "named", "base"),
    [("greeter", {}, "before"), ("greeter", {"base_experiment_name": "x"}, "x"), ("far", {}, None)],
)
def test_a_run_of_an_experiments_cases_is_compared_with_it(
    cloud: StandIn, project: str, named: dict[str, Any], base: str | None
) -> None:
    row = {"input": "a", "is_root": True}
    ids = {
        "before": cloud.add_experiment("acme", project, "before", [row]),
        "x": cloud.add_experiment("acme", "greeter", "x"),
        None: None,
    }
    data = {"experiment_name": "before", "project_name": project}
    api_of(cloud, scored()).summary(name="greeter", data=data, **named)
    (call,) = cloud.calls_to("POST", "/v1/experiment")
    assert call.json.get("base_exp_id") == ids[base]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 500}, "status 500"),
        ({"status": 404}, "status 404"),
        ({"nonsense": True}, "is not JSON"),
        ({"body": []}, "not the summary of an experiment"),
        ({"half": True}, "ended half-way"),
    ],
    ids=["500", "404", "html", "array", "half an answer"],
)
def test_a_comparison_that_fails_costs_nothing_but_itself_and_says_so(
    cloud: StandIn,
    fault: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objects, "SUMMARY_TIMEOUT", 0.3)
    api = api_of(cloud, scored())
    cloud.add_experiment("acme", "greeter", "before")
    cloud.fault("GET", "/v1/experiment/.*/summarize", times=None, **fault)
    summary = api.summary(name="greeter", data=CASES)
    assert summary["scores"]["exact"]["score"] == 0.5
    assert "comparisonExperimentName" not in summary
    assert summary["comparison"]["status"] == "skipped"
    assert reason in summary["comparison"]["reason"]
    assert TOKEN not in summary["comparison"]["reason"]
    assert "comparison could not be had" in caplog.text


def test_a_comparison_is_tried_again_while_there_is_time(cloud: StandIn) -> None:
    cloud.add_experiment("acme", "greeter", "before")
    fault = cloud.fault("GET", "/v1/experiment/.*/summarize", status=503, times=2)
    summary = api_of(cloud, scored()).summary(name="greeter", data=CASES)
    assert fault.hits == 2
    assert summary["comparison"]["status"] == "success"
    assert summary["comparisonExperimentName"] == "before"


def test_tokens_and_costs_of_tasks_and_scorers_are_in_the_summary_as_braintrust_has_them(
    cloud: StandIn,
) -> None:
    def task(input: str, hooks: EvalHooks) -> str:
        with hooks.span.start_span("agent", metrics={"prompt_tokens": 30}) as agent:
            for tokens in (10, 20):
                with agent.start_span("chat", type="llm") as chat:
                    chat.log(metrics={"prompt_tokens": tokens, "estimated_cost": 0.5})
        return input

    def judge(output: str) -> float:
        get_current_span().set_attribute("gen_ai.usage.input_tokens", 7)
        return 1.0

    evaluator = Evaluator("greeter", task, scores=[judge])
    summary = api_of(cloud, evaluator).summary(name="greeter", data=CASES)
    assert {name: each["metric"] for name, each in summary["metrics"].items()} == {
        "duration": summary["metrics"]["duration"]["metric"],
        "prompt_tokens": 30,
        "estimated_cost": 1,
    }
    assert summary["metrics"]["estimated_cost"]["unit"] == "$"
    assert summary["scorerMetrics"]["prompt_tokens"]["metric"] == 7


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


def test_a_server_that_is_stopped_answers_a_run_that_waits_for_its_data(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped:
        class cfg:
            graceful_timeout = 0.0

        alive = False
        sockets = ()

    grace = GracePeriod(0.0, Stopped())
    monkeypatch.setattr(GracePeriod, "of_request", lambda heartbeat: grace)
    let_go = threading.Event()

    def data() -> Any:
        happens(let_go)
        return []

    try:
        api = api_of(cloud, Evaluator("slow", lambda input: input, data=data))
        text = api.refusal(503, name="slow", data={"own": True})
    finally:
        let_go.set()
    assert text.startswith("the server is being stopped or reloaded")
    assert cloud.experiments == []

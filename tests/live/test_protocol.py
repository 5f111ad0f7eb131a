"""The main job, end to end, under every kind of worker."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.server import Client, Gunicorn, cases, of_case, outputs
from tests.standin import StandIn

from .conftest import PLAYGROUND, WORKERS, environ

pytestmark = pytest.mark.live


def kinds(events: list[Any]) -> list[str]:
    return [each.event for each in events]


def test_health_needs_no_token(any_server: Gunicorn) -> None:
    answer = requests.get(f"{any_server.url}/evals", timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_the_list_names_scorers_classifiers_and_parameters(client: Client) -> None:
    manifest = client.manifest()
    assert manifest["echo"] == {
        "scores": [{"name": "exact_match"}],
        "classifiers": [{"name": "topic"}],
    }
    assert manifest["parameters"]["parameters"]["schema"]["greeting"] == {
        "type": "data",
        "schema": {"type": "string"},
        "default": "hello",
        "description": "First word",
    }


def test_a_run_below_a_playground_streams_three_events_per_case(
    client: Client, cloud: StandIn
) -> None:
    events = client.run("echo", cases("a", "b"), parent=PLAYGROUND)
    assert kinds(events) == ["progress"] * 4 + ["summary", "done"]
    ids = {each.json["id"] for each in events if each.event == "progress"}
    assert len(ids) == 2
    for case_id in ids:
        output, done = of_case(events, case_id)
        assert output == {
            "id": case_id,
            "object_type": "task",
            "name": "echo",
            "format": "code",
            "output_type": "completion",
            "event": "json_delta",
            "data": output["data"],
        }
        assert (done["event"], done["data"]) == ("done", "")
    assert sorted(outputs(events)) == ["a", "b"]
    summary = events[-2].json
    assert summary["scores"]["exact_match"]["score"] == 1
    assert not cloud.calls_to("POST", "/v1/experiment")


def test_spans_are_in_the_parent_before_the_summary_is_sent(client: Client, cloud: StandIn) -> None:
    generation = {"span_attributes": {"generation": "g-7"}}
    parent = {**PLAYGROUND, "propagated_event": generation}
    stream = client.stream("echo", cases({"deep": [1]}), parent=parent)
    for event in stream:
        if event.event == "summary":
            break
        last = event
    names = sorted(span.name for span in cloud.spans)
    assert names == ["exact_match", "task", "topic"]
    by_name = {span.name: span for span in cloud.spans}
    (logged,) = cloud.rows  # it has labels
    root = logged.row
    assert (logged.name, logged.token) == ("eval", "token-ada")
    assert logged.parent == "playground_id:playground-1"
    assert root["id"] == root["span_id"] == last.json["id"]
    assert root["span_attributes"]["generation"] == "g-7"
    assert {span.parent_span_id for span in cloud.spans} == {root["span_id"]}
    assert {span.trace_id for span in cloud.spans} == {root["root_span_id"]}
    for span in cloud.spans:
        assert span.token == "token-ada"
        assert span.parent_header == "playground_id:playground-1"
        assert span.attributes["braintrust.parent"] == "playground_id:playground-1"
        assert span.json("braintrust.span_attributes")["generation"] == "g-7"
    assert root["input"] == root["output"] == {"deep": [1]}
    assert by_name["task"].json("braintrust.output_json") == {"deep": [1]}
    assert by_name["exact_match"].json("braintrust.scores") == {"exact_match": 1.0}
    assert root["classifications"] == {"topic": [{"id": "object"}]}
    stream.close()


def test_a_run_without_a_parent_is_recorded_in_a_new_experiment(
    client: Client, cloud: StandIn
) -> None:
    events = client.run("echo", cases("a"), experiment_name="first try", metadata={"who": "me"})
    assert kinds(events)[0] == "start"
    start, summary = events[0].json, events[-2].json
    assert start["projectName"] == "echo project"
    assert start["experimentName"] == "first try"
    assert start["experimentUrl"] == (
        f"{cloud.url}/app/acme/p/echo%20project/experiments/first%20try"
    )
    assert {key: summary[key] for key in start} == start
    (experiment,) = cloud.experiments
    assert experiment["id"] == start["experimentId"]
    assert experiment["metadata"] == {"who": "me"}
    assert {span.parent_header for span in cloud.spans} == {f"experiment_id:{experiment['id']}"}


def test_a_dataset_is_read_page_by_page_while_its_cases_run(client: Client, cloud: StandIn) -> None:
    rows = [{"input": n, "expected": n} for n in range(5)]
    dataset_id = cloud.add_dataset("acme", "golden", "numbers", rows)
    cloud.page_size = 2
    second_page = cloud.gate("POST", f"/v1/dataset/{dataset_id}/fetch", after=1)
    data = {"project_name": "golden", "dataset_name": "numbers"}
    stream = client.stream("echo", data, parent=PLAYGROUND)
    first = [stream.next() for _ in range(4)]
    assert sorted(outputs(first)) == [0, 1]
    second_page.release()
    events = [*first, *stream]
    assert sorted(outputs(events)) == [0, 1, 2, 3, 4]
    origin = of_case(events, first[0].json["id"])[0]["origin"]
    assert origin["object_type"] == "dataset"
    assert origin["object_id"] == dataset_id
    assert set(origin) == {"object_type", "object_id", "id", "_xact_id", "created"}
    evals = cloud.spans_named("eval")
    assert {span.json("braintrust.origin")["object_id"] for span in evals} == {dataset_id}


def test_events_arrive_the_moment_they_happen(client: Client, cloud: StandIn) -> None:
    with cloud.gate("GET", "/control/gated/held") as gate:
        stream = client.stream("gated", cases("held"), parent=PLAYGROUND)
        waiting = stream.next()
        assert (waiting.json["event"], waiting.json["data"]) == ("text_delta", "waiting")
        assert gate.reached.wait(10)
        gate.release()
        assert kinds(list(stream)) == ["progress", "progress", "summary", "done"]


def test_coroutines_start_programs(client: Client) -> None:
    words = [f"word {n}" for n in range(8)]
    assert sorted(outputs(client.run("async-program", cases(*words), parent=PLAYGROUND))) == words


def test_asynchronous_tasks_report_progress_before_their_output(client: Client) -> None:
    events = client.run("async-echo", cases(*range(20)), parent=PLAYGROUND, max_concurrency=20)
    assert sorted(outputs(events)) == list(range(20))
    for case_id in {each.json["id"] for each in events if each.event == "progress"}:
        assert [each["event"] for each in of_case(events, case_id)] == [
            "text_delta",
            "json_delta",
            "done",
        ]


def test_a_failing_task_is_reported_and_ends_nothing_else(client: Client, cloud: StandIn) -> None:
    events = client.run("flaky", cases("a", "bad", "exit", "b"), parent=PLAYGROUND)
    assert sorted(outputs(events)) == ["a", "b"]
    errors = [e.json for e in events if e.event == "progress" and e.json["event"] == "error"]
    assert sorted(each["data"] for each in errors) == [
        "SystemExit: 3",
        "ValueError: first line\r\nsecond\rthird\nfourth",
    ]
    assert [each["event"] for each in of_case(events, errors[0]["id"])] == ["error", "done"]
    summary = events[-2].json
    assert summary["scores"]["exact_match"]["score"] == 1
    assert summary["errors"] == {"cases": 2, "scorers": {}}
    failed = [span for span in cloud.spans_named("task") if span.status_code == "ERROR"]
    assert len(failed) == 2
    assert "exception.stacktrace" in failed[0].events[0][1]


def test_a_failing_scorer_does_not_change_the_others(client: Client, cloud: StandIn) -> None:
    events = client.run("scored", cases("a", "b"), parent=PLAYGROUND)
    summary = events[-2].json
    assert {name: each["score"] for name, each in summary["scores"].items()} == {
        "exact_match": 1,
        "half": 0.5,
    }
    assert summary["errors"] == {"cases": 0, "scorers": {"broken_scorer": 2}}
    assert {span.status_code for span in cloud.spans_named("broken_scorer")} == {"ERROR"}


def test_remote_scorers_run_as_the_caller_beside_the_evaluators_own(
    client: Client, cloud: StandIn
) -> None:
    seen = []

    def judge(arguments: Any) -> Any:
        seen.append(arguments)
        return {"name": "exact_match", "score": 0.25}

    def broken(arguments: Any) -> Any:
        raise RuntimeError("no judge today")

    judge_id = cloud.add_function(judge)
    events = client.run(
        "echo",
        cases("a"),
        parent=PLAYGROUND,
        scores=[
            {"name": "exact_match", "function_id": {"function_id": judge_id}},
            {"name": "broken", "function_id": cloud.add_function(broken, id="broken-id")},
        ],
    )
    summary = events[-2].json
    assert {name: each["score"] for name, each in summary["scores"].items()} == {
        "exact_match": 1,
        "exact_match (2)": 0.25,
    }
    assert summary["errors"]["scorers"] == {"broken": 1}
    (arguments,) = seen
    (root,) = cloud.spans_named("eval")
    assert arguments.pop("trace")["trace_ref"]["root_span_id"] == root.trace_id
    of_case = {"input": "a", "output": "a", "expected": "a", "metadata": {}, "tags": []}
    assert arguments == of_case
    calls = cloud.calls_to("POST", "/function/invoke")  # of both, in the order of their arrival
    assert {call.token for call in calls} == {"token-ada"}
    assert {call.headers["x-bt-org-name"] for call in calls} == {"acme"}
    (call,) = (call for call in calls if call.json["function_id"] == judge_id)
    (span,) = cloud.spans_named("exact_match (2)")
    assert call.json["parent"]["row_ids"]["span_id"] == span.span_id


def test_without_stream_the_answer_is_the_summary(client: Client) -> None:
    body = {"name": "echo", "data": cases("a"), "parent": PLAYGROUND, "stream": False}
    answer = client.post(body)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["scores"]["exact_match"]["score"] == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("nan", ["NaN", "Infinity", "-Infinity", None]),
        ("bytes", "café"),
        ("binary", "data:application/octet-stream;base64,/wA="),
        ("set", [1, 2, 3]),
        ("dataclass", {"x": 1, "y": 2.5}),
        ("datetime", "2026-01-02T03:04:05+00:00"),
        ("decimal", "1.10"),
        ("uuid", "00000000-0000-0000-0000-000000000005"),
        ("object", "opaque"),
        ("surrogate", "a\ufffdb"),
        ("lines", "a\r\nb\rc\nd\u2028e\u0085f"),
    ],
)
def test_outputs_of_any_kind_are_valid_json(
    gevent_client: Client, cloud: StandIn, value: str, expected: Any
) -> None:
    events = gevent_client.run("values", [{"input": value}], parent=PLAYGROUND)
    assert outputs(events) == [expected]
    (task,) = cloud.spans_named("task")
    assert task.json("braintrust.output_json") == expected


def test_an_output_without_a_json_form_is_that_cases_error(gevent_client: Client) -> None:
    events = gevent_client.run(
        "values", [{"input": "generator"}, {"input": "bytes"}], parent=PLAYGROUND
    )
    assert outputs(events) == ["café"]
    (error,) = [e.json for e in events if e.event == "progress" and e.json["event"] == "error"]
    assert error["data"].startswith("SerializationError: the task's output cannot be written")


def test_tasks_run_in_the_applications_context(client: Client) -> None:
    assert outputs(client.run("context", cases("x"))) == ["from the application"]


def test_runs_at_once_have_each_their_own_parameters(client: Client) -> None:
    def run(number: int) -> None:
        values = {"greeting": f"run {number}", "times": number}
        told = outputs(client.run("parameters", cases(*"abcdefgh"), parameters=values))
        assert sorted(told) == [" ".join([f"run {number}"] * number + [c]) for c in "abcdefgh"]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(1, 9)))


def test_parameters_reach_the_task_and_wrong_ones_do_not(client: Client) -> None:
    values = {"greeting": "good day", "times": 2}
    assert outputs(client.run("parameters", cases("you"), parameters=values)) == [
        "good day good day you"
    ]
    answer = client.post({"name": "parameters", "data": cases(1), "parameters": {"times": "2"}})
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "parameter 'times': '2' is not of type 'integer' (got string)"
    )


def test_trials_repeat_every_case(client: Client) -> None:
    events = client.run("echo", cases("a", "b"), parent=PLAYGROUND, trial_count=3)
    assert sorted(outputs(events)) == ["a", "a", "a", "b", "b", "b"]


def test_an_earlier_experiment_gives_its_cases(client: Client, cloud: StandIn) -> None:
    rows: list[dict[str, Any]] = [
        {"input": 1, "output": 2, "is_root": True},
        {"input": "inner", "is_root": False},
        {"input": 3, "output": 0, "expected": 3, "is_root": True},
    ]
    cloud.add_experiment("acme", "echo project", "earlier", rows)
    events = client.run("echo", {"experiment_name": "earlier"}, parent=PLAYGROUND)
    assert sorted(outputs(events)) == [1, 3]
    assert events[-2].json["scores"]["exact_match"]["score"] == 0.5


@pytest.mark.parametrize(
    ("data", "status"),
    [({"dataset_id": "no-such"}, 404), ({"dataset_name": "no-such", "project_name": "p"}, 404)],
)
def test_a_missing_dataset_is_reported_before_the_stream(
    client: Client, cloud: StandIn, data: dict[str, str], status: int
) -> None:
    answer = client.post({"name": "echo", "data": data})
    assert answer.status_code == status
    assert "error" in answer.json()
    assert not cloud.experiments


def test_a_dataset_that_fails_on_its_second_page_ends_the_run_with_an_error(
    client: Client, cloud: StandIn
) -> None:
    dataset_id = cloud.add_dataset("acme", "p", "d", [{"input": n} for n in range(4)])
    cloud.page_size = 2
    fetch = f"/v1/dataset/{dataset_id}/fetch"
    cloud.fault("POST", fetch, after=1, status=400, body='{"Message": "no more"}', times=None)
    events = client.run("echo", {"dataset_id": dataset_id}, parent=PLAYGROUND)
    assert kinds(events) == ["progress"] * 4 + ["error", "done"]
    assert json.loads(events[-2].data) == (
        f"Braintrust answered POST {fetch} with status 400: no more"
    )


@pytest.mark.parametrize(
    ("token", "org", "status"),
    [
        (None, "acme", 401),
        ("token-wrong", "acme", 401),
        ("null", "acme", 401),
        ("token-ada", "other-org", 403),
    ],
)
def test_requests_without_a_good_token_are_refused(
    any_server: Gunicorn, cloud: StandIn, token: str | None, org: str, status: int
) -> None:
    stranger = Client(any_server.url + "/evals", token, org)
    answer = stranger.post({"name": "echo", "data": cases("a")})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == "https://www.braintrust.dev"
    assert "token-" not in answer.text


def test_one_login_serves_many_requests(client: Client, cloud: StandIn) -> None:
    cloud.add_user("token-often", orgs=("acme",))
    client.headers["x-bt-auth-token"] = "token-often"
    for _ in range(3):
        client.manifest()
    assert cloud.logins == 1


def test_other_blueprints_are_not_changed(any_server: Gunicorn, cloud: StandIn) -> None:
    headers = {"Origin": "https://www.braintrust.dev"}
    answer = requests.get(f"{any_server.url}/other", headers=headers, timeout=10)
    assert answer.text == "other"
    assert not any(name.startswith("Access-Control") for name in answer.headers)
    missing = requests.get(f"{any_server.url}/nowhere", headers=headers, timeout=10)
    assert missing.headers["Content-Type"].startswith("text/html")


UNRULY = {
    "greenlet exit": "GreenletExit",
    "gevent time-out": "Timeout: 1 second",
    "interrupt": "KeyboardInterrupt",
    "exit": "SystemExit: bye",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "memory": "MemoryError",
    "generator exit": "GeneratorExit",
    "group": "BaseException: at the very top",
    "print": None,
    "directory": None,
    "environment": None,
}


@pytest.mark.parametrize("worker", WORKERS)
def test_whatever_a_task_does_stays_with_its_case(cloud: StandIn, worker: str) -> None:
    options = ("--threads", "10") if worker == "gthread" else ()
    with Gunicorn(worker_class=worker, options=options, environ=environ(cloud)) as server:
        # The second run finds the process as the first has left it.
        for _ in range(2):
            check_unruly(Client(server.url + "/evals"))
        cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 2 * (len(UNRULY) + 1))


def check_unruly(client: Client) -> None:
    events = client.run("unruly", cases(*UNRULY, "good"), parent=PLAYGROUND)
    assert [event.event for event in events[-2:]] == ["summary", "done"]
    assert sorted(outputs(events)) == sorted(
        ["good", *(name for name, error in UNRULY.items() if error is None)]
    )
    progress = [event.json for event in events if event.event == "progress"]
    errors = [each["data"] for each in progress if each["event"] == "error"]
    expected = sorted(error for error in UNRULY.values() if error is not None)
    assert len(errors) == len(expected)
    for said, wanted in zip(sorted(errors), expected, strict=True):
        assert said.startswith(wanted)
    assert len([each for each in progress if each["event"] == "done"]) == len(UNRULY) + 1
    assert events[-2].json["errors"]["cases"] == len(expected)

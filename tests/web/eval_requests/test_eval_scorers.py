"""``POST /eval`` with scorers of the Playground."""

from __future__ import annotations

import json
import threading
from typing import Any

import braintrust
import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.runs import remote_scorers
from tests.standin import StandIn
from tests.support import TOKEN
from tests.web.support import CASES, PLAYGROUND, Api, api_of, last_json, scored


def test_scorers_of_the_request_are_added_to_the_evaluators_own(cloud: StandIn) -> None:
    seen: list[Any] = []
    recorded: list[str] = []

    def remote(input: Any) -> Any:
        seen.append(input)
        recorded.extend(span.name for span in cloud.spans)
        return {"score": 0.25}

    function = cloud.add_function(remote)
    parameters = {"mood": {"type": "string", "default": "calm"}}
    api = api_of(cloud, scored(parameters=parameters))
    cases = [{"input": "a", "expected": "a", "metadata": {"m": 1}, "tags": ["t"], "id": "c"}]
    scores = [{"name": "far", "function_id": {"function_id": function, "version": "1"}}]
    generation = {"propagated_event": {"span_attributes": {"generation": "g"}}}
    parent = {**PLAYGROUND, **generation}
    events = api.events(name="greeter", data=cases, scores=scores, parent=parent)
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
            "tags": ["t"],
            "id": "c",
            "parameters": {"mood": "calm"},
            "trace": {
                "trace_ref": {
                    "object_type": "playground_logs",
                    "object_id": PLAYGROUND["object_id"],
                    "root_span_id": cloud.spans_named("eval")[0].trace_id,
                }
            },
        }
    ]
    assert "task" in recorded, "the function can read in Braintrust what the task has recorded"
    assert sorted(span.name for span in cloud.spans) == ["eval", "exact", "far", "task"]
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
    # What the function records belongs below the scorer's span, and not to the task's cost.
    assert call.json["parent"] == {
        **PLAYGROUND,
        "row_ids": {"id": span.span_id, "span_id": span.span_id, "root_span_id": span.trace_id},
        "propagated_event": {"span_attributes": {"generation": "g", "purpose": "scorer"}},
    }


@pytest.mark.parametrize("on_loop", [False, True])
def test_spans_are_delivered_before_a_scorer_calls_a_function_with_the_sdk(
    cloud: StandIn, on_loop: bool
) -> None:
    delivered: dict[str, list[str]] = {}

    def invoke(caller: str) -> int:
        braintrust.current_span().export()  # as the SDK's own does before it sends
        delivered[caller] = [span.name for span in cloud.spans]
        return 1

    async def judge_on_loop() -> int:
        return invoke("judge")

    def judge() -> int:
        return invoke("judge")

    def task(input: Any) -> int:
        with braintrust.start_span("before"):
            pass
        return invoke("task")

    judges = [judge_on_loop if on_loop else judge]
    api_of(cloud, Evaluator("e", task, scores=judges)).events(name="e", data=CASES[:1])
    assert delivered == {"task": [], "judge": [] if on_loop else ["before", "task"]}


def test_a_scorer_is_called_although_the_spans_cannot_be_delivered(cloud: StandIn) -> None:
    cloud.fault("POST", "/otel/v1/traces", status=400, times=None)
    function = cloud.add_function(lambda input: 0.25)
    scores = [{"name": "far", "function_id": function}]
    events = api_of(cloud, scored()).events(name="greeter", data=CASES, scores=scores)
    assert last_json(events, "summary")["scores"]["far"]["score"] == 0.25


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


@pytest.mark.parametrize(
    ("scorers", "results", "failure"),
    [
        (1, [[{"name": "x", "score": 1}] * 101], "returns too many scores: it may return 100 for"),
        (1, [[{"name": f"{run} {n}", "score": 1} for n in range(51)] for run in "ab"], "too many"),
        (1, [{"name": "x" * 501, "score": 1}], "name is longer than 500 characters"),
        (1, [{"score": 1, "metadata": {"text": "x" * 1_000_000}}], "more than 1,000,000 bytes"),
        (2, [{"score": 1, "metadata": {"text": "x" * 500_000}}], "more than 500,000 bytes"),
        (1, [{"score": 1, "metadata": {"list": [0] * 20_000}}], "more than 20,000 JSON values"),
        (1, [[{"name": "x", "score": 1}] * 100] * 2, None),
        (2, [{"score": 1, "metadata": {"text": "x" * 400_000}}], None),
    ],
)
def test_the_results_of_remote_scorers_are_bounded(
    cloud: StandIn, scorers: int, results: list[Any], failure: str | None
) -> None:
    function = cloud.add_function(lambda input: results[int(input["input"])])
    scores = [{"name": f"far {n}", "function_id": function} for n in range(scorers)]
    cases = [{"input": n, "expected": n} for n in range(len(results))]
    events = api_of(cloud, scored()).events(
        name="greeter", data=cases, scores=scores, case_results=True, max_concurrency=1
    )
    last = [event for event in events if event.type == "case_result"][-1]
    errors = json.loads(last.data).get("scorer_errors", {})
    assert len(errors) == (scorers if failure else 0)
    assert all(str(failure) in error for error in errors.values())


def test_others_may_run_before_each_call_of_a_function(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[int] = []

    def made() -> None:
        turns.append(len(cloud.calls_to("POST", "/function/invoke")))

    monkeypatch.setattr(remote_scorers, "let_others_run", made)
    scores = [{"name": "far", "function_id": cloud.add_function(lambda input: 1)}]
    api_of(cloud, scored()).events(name="greeter", data=CASES, scores=scores, max_concurrency=1)
    assert turns == [0, 1]


def test_a_remote_scorer_of_a_taken_name_hides_no_other(cloud: StandIn) -> None:
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


def test_a_remote_scorer_receives_the_project_of_a_new_experiment(cloud: StandIn, api: Api) -> None:
    function = cloud.add_function(lambda input: 1)
    scores = [{"name": "far", "function_id": function}]
    api.summary(data=CASES[:1], scores=scores)
    (call,) = cloud.calls_to("POST", "/function/invoke")
    assert call.headers.get("x-bt-project-id") == cloud.add_project("acme", "echo")


@pytest.mark.parametrize(
    ("length", "of_function", "together"),
    [(10, 0, True), (400_000, 0, False), (1_000_001, 0, False), (10, 700_000, False)],
)
def test_large_calls_of_scorers_are_made_a_few_at_a_time(
    cloud: StandIn, length: int, of_function: int, together: bool
) -> None:
    three = threading.Barrier(3)
    met: list[bool] = []

    def remote(input: Any) -> Any:
        try:
            three.wait(10 if together else 0.5)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        return 1

    scores = [
        {
            "name": f"far {n}",
            "function_id": {
                "function_id": cloud.add_function(remote),
                "inline_context": "x" * of_function,
            },
        }
        for n in range(3)
    ]
    case = {"input": {"text": ["x" * length]}}
    events = api_of(cloud, scored()).events(name="greeter", data=[case], scores=scores)
    assert {f"far {n}" for n in range(3)} <= set(last_json(events, "summary")["scores"])
    assert met == [together] * 3

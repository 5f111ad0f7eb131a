"""``POST /eval`` when code of the application fails, or a process is full."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from tests.standin import StandIn
from tests.web.support import (
    CASES,
    PLAYGROUND,
    Api,
    api_of,
    cloud_app,
    deltas,
    error_of,
    events_of,
    last_json,
    make_app,
    scored,
    types_of,
)


def sometimes(input: Any) -> Any:
    if input == "b":
        raise ValueError("no such key")
    return input


def test_a_failing_case_is_reported_and_all_others_run(cloud: StandIn) -> None:
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
    text = "the run's time-out of 0.1 seconds was reached; done by then: 0 cases"
    events = api.events(name="slow", data=[{"input": 1}], timeout=100)
    assert types_of(events)[-2:] == ["error", "done"]
    assert events[-2].json == text
    assert api.refusal(500, name="slow", data=[{"input": 1}], timeout=100, stream=False) == text


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


@pytest.mark.parametrize("given", [None, True, False])
def test_stack_traces_are_recorded_unless_they_are_left_out(
    cloud: StandIn, given: bool | None, caplog: pytest.LogCaptureFixture
) -> None:
    def scorer(output: Any) -> Any:
        raise LookupError("the scorer failed")

    evaluator = Evaluator("e", sometimes, scores=[scorer])
    api = Api(cloud_app(cloud, evaluator, BRAINTRUST_EVALS_STACK_TRACES=given))
    with caplog.at_level(logging.INFO, "flask_braintrust_evals"):
        api.events(name="e", data=[{"input": each} for each in "ab"])
    events = [event for span in cloud.spans for event in span.events]
    assert len(events) == 3  # of the task, of its case, and of the scorer
    for name, attributes in events:
        assert name == "exception"
        assert attributes["exception.type"] in ("ValueError", "LookupError")
        assert attributes["exception.message"] in ("no such key", "the scorer failed")
        assert ("exception.stacktrace" in attributes) == (given is not False)
    assert "in sometimes" in caplog.text

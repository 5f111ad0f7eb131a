"""``POST /eval`` that asks for more than the evaluator or the settings allow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.engine.running.run import Run
from tests.standin import StandIn
from tests.support import Counter, cut_short
from tests.web.support import (
    Api,
    Event,
    api_of,
    deltas,
    echo,
    events_of,
    last_json,
    make_app,
    types_of,
)


def unlisted(count: int) -> Iterator[dict[str, Any]]:
    """Cases whose number is not known before they are read."""
    yield from ({"input": number} for number in range(count))


def open_to_all(*evaluators: Evaluator, **config: Any) -> Api:
    return Api(make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none", **config), None)


def test_a_request_cannot_raise_the_limits_of_an_evaluator() -> None:
    inside, third = Counter(), Counter()
    data = [{"input": number} for number in range(50)]

    def scarce(input: Any, hooks: EvalHooks) -> None:
        if inside.add() > 2:
            third.add()
        hooks.cancel_event.wait(10)
        inside.add(-1)

    def last_events(seconds: float) -> tuple[float, list[Event]]:
        api = open_to_all(Evaluator("scarce", scarce, timeout=seconds, max_concurrency=2))
        events = api.events(name="scarce", data=data, timeout=1e300, max_concurrency=50)
        return seconds, events[-2:]

    seconds, events = cut_short(last_events, lambda _: inside.peak == 2)
    assert types_of(events) == ["error", "done"]
    assert events[0].json.startswith(f"the run's time-out of {seconds} seconds was reached")
    assert (inside.peak, third.value) == (2, 0)


def test_the_time_out_of_a_request_is_milliseconds() -> None:
    def wait(input: Any, hooks: EvalHooks) -> bool:
        return hooks.cancel_event.wait(0.2)

    api = open_to_all(Evaluator("wait", wait))
    (delta,) = deltas(api.events(name="wait", data=[{"input": 1}], timeout=20_000))
    assert delta["data"] == "false"
    (event,) = [
        each
        for each in api.events(name="wait", data=[{"input": 1}], timeout=20)
        if each.type == "error"
    ]
    assert event.json.startswith("the run's time-out of 0.02 seconds was reached")


def test_the_making_of_data_before_a_run_counts_towards_its_time_out(
    monkeypatch: pytest.MonkeyPatch, cloud: StandIn
) -> None:
    spent: list[float] = []

    class Watched(Run):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            spent.append(options["spent"])
            super().__init__(*arguments, **options)

    def data() -> list[Any]:
        time.sleep(0.1)
        return [{"input": 1}]

    monkeypatch.setattr("flask_braintrust_evals.runs.prepare.Run", Watched)
    api = api_of(cloud, Evaluator("own", echo, data=data))
    api.summary(name="own", data={"own": True})
    assert 0.1 <= spent[0] < 10


def test_a_run_without_any_time_out_has_that_of_the_setting() -> None:
    def wait(input: Any, hooks: EvalHooks) -> None:
        hooks.cancel_event.wait(10)

    api = open_to_all(Evaluator("wait", wait), BRAINTRUST_EVALS_MAX_TIMEOUT=0.1)
    events = api.events(name="wait", data=[{"input": 1}])
    assert events[-2].json.startswith("the run's time-out of 0.1 seconds was reached")


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"data": [{"input": 1}] * 5}, 5),
        ({"data": [{"input": 1}] * 2, "trial_count": 3}, 6),
        ({"data": [{"input": 1, "trial_count": 4}, {"input": 2}]}, 5),
        ({"data": {"own": True}, "trial_count": 3}, 6),
        ({"data": {"own": True}, "name": "trials"}, 7),
    ],
)
def test_more_cases_than_a_run_may_have_are_refused_before_anything_is_made(
    cloud: StandIn, body: dict[str, Any], count: int
) -> None:
    evaluator = Evaluator("echo", echo, data=[{"input": 1}, {"input": 2}], project="p")
    objects = SimpleNamespace(input=1, trial_count=4), SimpleNamespace(input=1, trial_count="4")
    trials = Evaluator("trials", echo, data=[{"input": 1, "trial_count": 2}, *objects])
    api = api_of(cloud, evaluator, trials, BRAINTRUST_EVALS_MAX_CASES=4)
    assert api.refusal(400, **{"name": "echo", "parent": None, **body}) == (
        f"the run would have {count} cases, with each trial counted; 4 are allowed"
        " (BRAINTRUST_EVALS_MAX_CASES): send fewer cases, or lower trial_count"
    )
    assert not cloud.calls_to("POST", "/v1/experiment")
    assert len(deltas(api.events(name="echo", data=[{"input": 1}] * 4))) == 4


def test_cases_that_are_read_one_by_one_are_counted_as_they_are_read() -> None:
    api = open_to_all(
        Evaluator("four", echo, data=lambda: unlisted(4)),
        Evaluator("five", echo, data=lambda: unlisted(5)),
        BRAINTRUST_EVALS_MAX_CASES=4,
    )
    assert types_of(api.events(name="four", data={"own": True}))[-2:] == ["summary", "done"]

    events = api.events(name="five", data={"own": True})
    progress = [each.json["event"] for each in events if each.type == "progress"]
    assert progress.count("json_delta") == 4, "no result is lost"
    assert types_of(events)[-2:] == ["error", "done"]
    assert last_json(events, "error") == (
        "a run may have 4 cases, with each trial counted (BRAINTRUST_EVALS_MAX_CASES); the first 4"
        " of the data were run, and there are more"
    )


def test_trials_of_cases_that_are_read_one_by_one_are_counted_too() -> None:
    api = open_to_all(
        Evaluator("five", echo, data=lambda: unlisted(5)), BRAINTRUST_EVALS_MAX_CASES=4
    )
    body: dict[str, Any] = {"name": "five", "data": {"own": True}, "trial_count": 2}
    events = events_of(api.eval(**body))
    progress = [each.json["event"] for each in events if each.type == "progress"]
    assert progress.count("json_delta") == 4
    assert last_json(events, "error").endswith(
        "the first 2 of the data were run, and there are more"
    )
    assert api.eval(stream=False, **body).status_code == 400


def test_rows_of_a_dataset_are_counted_as_they_are_read(cloud: StandIn) -> None:
    dataset = cloud.add_dataset("acme", "p", "d", [{"input": number} for number in range(5)])
    api = api_of(cloud, Evaluator("echo", echo), BRAINTRUST_EVALS_MAX_CASES=4)
    events = api.events(name="echo", data={"dataset_id": dataset})
    assert types_of(events)[-2:] == ["error", "done"]
    assert "BRAINTRUST_EVALS_MAX_CASES" in last_json(events, "error")

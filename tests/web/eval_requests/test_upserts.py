"""A rerun of a case with an ``upsert_id`` replaces the row of the run before."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from tests.standin import StandIn
from tests.support import cut_short
from tests.web.support import PLAYGROUND, Event, api_of, echo, scored

OF_PLAYGROUND = f"playground_id:{PLAYGROUND['object_id']}"


def trial_id(upsert_id: str, trial: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"braintrust:eval:{upsert_id}:trial:{trial}"))


def rows(cloud: StandIn, parent: str = OF_PLAYGROUND) -> dict[str, Any]:
    """The rows of cases in an object, by their ids."""
    return {row["id"]: row for row in cloud.recorded(parent) if row["is_root"]}


def ids(events: list[Event]) -> list[str]:
    """The ids in the progress events, without repetitions."""
    return list(dict.fromkeys(each.json["id"] for each in events if each.type == "progress"))


def test_a_rerun_replaces_the_row_with_all_that_is_in_it(cloud: StandIn) -> None:
    versions = iter(["old", "new"])

    def task(input: Any, hooks: EvalHooks) -> str:
        version = next(versions)
        hooks.metadata[version] = True
        return version

    api = api_of(cloud, Evaluator("e", task))
    case = {"input": "x", "upsert_id": "row-1", "metadata": {"m": 1}}
    assert ids(api.events(name="e", data=[case])) == ["row-1"]
    first = rows(cloud)
    assert ids(api.events(name="e", data=[case])) == ["row-1"]
    second = rows(cloud)

    assert list(first) == list(second) == ["row-1"]
    assert (first["row-1"]["output"], second["row-1"]["output"]) == ("old", "new")
    assert second["row-1"]["metadata"] == {"m": 1, "new": True}
    assert first["row-1"]["root_span_id"] != second["row-1"]["root_span_id"]


def test_a_rerun_that_fails_replaces_the_output_by_the_error(cloud: StandIn) -> None:
    answers: list[Any] = ["fine", ValueError("no")]

    def task(input: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    api = api_of(cloud, Evaluator("e", task))
    for _ in range(2):
        api.events(name="e", data=[{"input": "x", "upsert_id": "row-1"}])
    (row,) = rows(cloud).values()
    assert "output" not in row
    assert "ValueError: no" in row["error"]


def test_each_trial_has_a_row_of_its_own_in_every_run(cloud: StandIn) -> None:
    api = api_of(cloud, scored("e"))
    expected = ["row-1", trial_id("row-1", 1), trial_id("row-1", 2)]
    for _ in range(2):
        events = api.events(name="e", data=[{"input": "x", "upsert_id": "row-1"}], trial_count=3)
        assert ids(events) == expected
    assert sorted(rows(cloud)) == sorted(expected)


def test_spans_of_the_task_and_the_scorers_are_below_the_row(cloud: StandIn) -> None:
    api = api_of(cloud, scored("e"))
    api.events(name="e", data=[{"input": "x", "upsert_id": "row-1"}, {"input": "y"}])
    row = rows(cloud)["row-1"]
    below = [span for span in cloud.spans if span.trace_id == row["root_span_id"]]
    assert {span.name: span.parent_span_id for span in below} == {
        "task": row["span_id"],
        "exact": row["span_id"],
    }
    # The other case has none, and is recorded as ever.
    (other,) = cloud.spans_named("eval")
    assert set(rows(cloud)) == {"row-1", other.span_id}


@pytest.mark.parametrize("upsert_id", [None, ""])
def test_without_an_id_each_run_adds_a_row(cloud: StandIn, upsert_id: str | None) -> None:
    api = api_of(cloud)
    for _ in range(2):
        api.events(name="echo", data=[{"input": "x", "upsert_id": upsert_id}])
    assert len(rows(cloud)) == 2
    assert not cloud.rows


@pytest.mark.parametrize("upsert_id", [1, ["x"], {"id": "x"}, True])
def test_an_id_that_is_no_string_is_refused(cloud: StandIn, upsert_id: Any) -> None:
    text = api_of(cloud).refusal(400, data=[{"input": "x", "upsert_id": upsert_id}])
    assert text == f"data.data[0]: a case's 'upsert_id' must be a string, not {upsert_id!r}"


def test_two_cases_with_one_id_both_run_and_the_last_one_is_kept(cloud: StandIn) -> None:
    api = api_of(cloud)
    data = [{"input": each, "upsert_id": "row-1"} for each in "ab"]
    events = api.events(name="echo", data=data)
    assert [each.json["event"] for each in events if each.type == "progress"] == [
        "json_delta",
        "done",
    ] * 2
    assert rows(cloud)["row-1"]["output"] == "b"


def test_cases_of_a_run_that_is_given_up_are_all_reported_even_with_one_id(cloud: StandIn) -> None:
    def wait(input: Any, hooks: EvalHooks) -> None:
        hooks.cancel_event.wait(20)

    def failures(seconds: float) -> list[Event]:
        events = api.events(name="e", data=data, max_concurrency=2, timeout=int(1000 * seconds))
        return [
            each for each in events if each.type == "progress" and each.json["event"] == "error"
        ]

    api = api_of(cloud, Evaluator("e", wait))
    data = [{"input": each, "upsert_id": "row-1"} for each in "ab"]
    assert len(cut_short(failures, lambda failed: len(failed) == 2)) == 2


def test_an_experiments_rows_have_the_ids_too(cloud: StandIn) -> None:
    api = api_of(cloud, scored("e"))
    summary = api.summary(name="e", data=[{"input": "x", "expected": "x", "upsert_id": "row-1"}])
    assert list(rows(cloud, f"experiment_id:{summary['experimentId']}")) == ["row-1"]
    assert summary["scores"]["exact"]["score"] == 1


def test_the_cases_of_an_evaluator_have_ids_too(cloud: StandIn) -> None:
    api = api_of(cloud, Evaluator("e", echo, data=[{"input": "x", "upsert_id": "row-1"}]))
    for _ in range(2):
        assert ids(api.events(name="e", data={"own": True})) == ["row-1"]
    assert list(rows(cloud)) == ["row-1"]


def test_below_an_exported_span_the_id_is_that_of_the_span(cloud: StandIn) -> None:
    """Only Braintrust can read such a parent, so that no row can be written there."""
    events = api_of(cloud).events(
        name="echo", data=[{"input": "x", "upsert_id": "row-1"}], parent="exported"
    )
    (span,) = cloud.spans_named("eval")
    assert ids(events) == [span.span_id]
    assert not cloud.rows
    assert "flask_braintrust_evals.row_id" not in span.attributes


def test_without_braintrust_the_events_have_the_id_that_was_given() -> None:
    from tests.web.support import Api, make_app

    api = Api(make_app(BRAINTRUST_EVALS_AUTH="none"))
    events = api.events(name="echo", data=[{"input": "x", "upsert_id": "row-1"}], trial_count=2)
    assert ids(events) == ["row-1", trial_id("row-1", 1)]

"""Runs: cases at a time, failures, trials, and what is sent and recorded of each case.

From the tests of the SDKs in Go (``eval_test.go``), Ruby (``runner_test.rb``, ``eval_test.rb``),
Java (``DevserverTest``, ``EvalTest``), JavaScript and Python (``test_framework.py``), and of the
``bt`` command line.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from tests.standin import StandIn
from tests.web.support import Api, Event, api_of, echo, exact, last_json, types_of

AT_A_TIME = [1, 3]


def progress(events: list[Event]) -> dict[str, list[dict[str, Any]]]:
    """The progress of each case, by its id."""
    by_id: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event.type == "progress":
            by_id.setdefault(event.json["id"], []).append(event.json)
    return by_id


def fails_for_odd(input: int) -> int:
    if input % 2:
        raise ValueError(f"{input} is odd")
    return input


@pytest.fixture
def odd(cloud: StandIn) -> Api:
    return api_of(cloud, Evaluator("e", fails_for_odd, scores=[exact]))


def numbers(count: int) -> list[dict[str, Any]]:
    return [{"input": each, "expected": each} for each in range(count)]


@pytest.mark.parametrize("at_a_time", AT_A_TIME)
def test_failed_cases_stop_neither_the_others_nor_the_summary(odd: Api, at_a_time: int) -> None:
    events = odd.events(name="e", data=numbers(6), max_concurrency=at_a_time)
    ends = Counter(tuple(each["event"] for each in case) for case in progress(events).values())
    assert ends == {("json_delta", "done"): 3, ("error", "done"): 3}
    assert types_of(events)[-2:] == ["summary", "done"]
    summary = last_json(events, "summary")
    assert summary["errors"]["cases"] == 3
    assert summary["scores"]["exact"]["score"] == 1


@pytest.mark.parametrize("at_a_time", AT_A_TIME)
def test_a_run_whose_cases_all_fail_ends_with_a_summary_without_scores(
    odd: Api, at_a_time: int
) -> None:
    events = odd.events(name="e", data=[{"input": 1}] * 4, max_concurrency=at_a_time)
    summary = last_json(events, "summary")
    assert (summary["errors"]["cases"], summary["scores"]) == (4, {})
    assert types_of(events)[-1] == "done"


def test_an_error_is_text_and_an_output_is_json_within_json(odd: Api) -> None:
    for case in progress(odd.events(name="e", data=[{"input": 0}, {"input": 1}])).values():
        first, last = case
        assert first["data"] == {"json_delta": "0", "error": "ValueError: 1 is odd"}[first["event"]]
        assert last["data"] == ""
        # The end of a case has all that the page needs to find its cell.
        both = {key: value for key, value in first.items() if key not in ("event", "data")}
        assert both == {k: v for k, v in last.items() if k not in ("event", "data")}
        assert both == {
            "id": first["id"],
            "object_type": "task",
            "name": "e",
            "format": "code",
            "output_type": "completion",
        }


def test_no_event_of_a_case_has_its_scores(cloud: StandIn) -> None:
    api = api_of(cloud, Evaluator("e", echo, scores=[exact]))
    for case in progress(api.events(name="e", data=numbers(2))).values():
        assert not [each for each in case if "scores" in each]


@pytest.mark.parametrize(
    "output",
    [
        pytest.param("text", id="text"),
        pytest.param("", id="empty text"),
        pytest.param(None, id="nothing"),
        pytest.param(0, id="zero"),
        pytest.param(False, id="false"),
        pytest.param([], id="empty list"),
        pytest.param({"nested": {"list": [1, "two", None]}}, id="object"),
        pytest.param("line\nline\r\nline", id="lines"),
        pytest.param("日本語 🎉", id="other scripts"),
    ],
)
def test_an_output_arrives_as_it_is_and_is_recorded_so(cloud: StandIn, output: Any) -> None:
    api = api_of(cloud, Evaluator("e", lambda input: output))
    assert api.outputs(name="e", data=[{"input": 1}]) == [output]
    for name in ("eval", "task"):
        (span,) = cloud.spans_named(name)
        assert span.json("braintrust.output_json") == output


def test_a_run_shares_no_state_with_the_next_run_of_its_evaluator(odd: Api) -> None:
    failed = last_json(odd.events(name="e", data=numbers(2)), "summary")
    passed = last_json(odd.events(name="e", data=[{"input": 2, "expected": 0}]), "summary")
    assert failed["errors"]["cases"] == 1
    assert "errors" not in passed
    assert (failed["scores"]["exact"]["score"], passed["scores"]["exact"]["score"]) == (1, 0)


def test_each_trial_of_each_case_has_its_number(cloud: StandIn) -> None:
    def task(input: str, hooks: EvalHooks) -> list[Any]:
        return [input, hooks.trial_index]

    api = api_of(cloud, Evaluator("e", task, trial_count=2))
    cases = [{"input": "a"}, {"input": "b"}, {"input": "c", "trial_count": 1}]
    outputs = api.outputs(name="e", data=cases, max_concurrency=3)
    assert sorted(outputs) == [["a", 0], ["a", 1], ["b", 0], ["b", 1], ["c", 0]]


# --- Spans ---


def test_each_case_is_a_trace_of_five_spans_with_one_of_the_tasks_own(cloud: StandIn) -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        with hooks.span.start_span("step"):
            return input

    def same(output: Any) -> bool:
        return True

    api = api_of(cloud, Evaluator("e", task, scores=[exact, same]))
    api.events(name="e", data=numbers(2))
    by_trace: dict[str, list[str]] = {}
    for span in cloud.spans:
        by_trace.setdefault(span.trace_id, []).append(span.name)
    assert [sorted(each) for each in by_trace.values()] == [
        ["eval", "exact", "same", "step", "task"]
    ] * 2
    assert all(not span.parent_span_id for span in cloud.spans_named("eval"))
    assert {span.parent_header for span in cloud.spans} == {"playground_id:the-playground"}


def test_only_spans_of_scorers_have_that_purpose(cloud: StandIn) -> None:
    api = api_of(cloud, Evaluator("e", echo, scores=[exact]))
    api.events(name="e", data=numbers(1))
    purposes = {
        span.name: span.json("braintrust.span_attributes").get("purpose") for span in cloud.spans
    }
    assert purposes == {"eval": None, "task": None, "exact": "scorer"}


def test_a_failed_case_is_recorded_with_its_input_and_without_an_output(
    cloud: StandIn, odd: Api
) -> None:
    odd.events(name="e", data=[{"input": 1, "expected": 2, "metadata": {"m": 1}, "tags": ["t"]}])
    for name in ("eval", "task"):
        (span,) = cloud.spans_named(name)
        assert span.json("braintrust.input_json") == 1
        assert span.json("braintrust.expected_json") == 2
        assert "braintrust.output_json" not in span.attributes
        assert (span.status_code, span.status_message) == ("ERROR", "ValueError: 1 is odd")
    (case,) = cloud.spans_named("eval")
    assert case.json("braintrust.metadata") == {"m": 1}
    assert case.attributes["braintrust.tags"] == ["t"]


@pytest.mark.parametrize(
    ("tags", "recorded"),
    [(["a"], ["a", "more"]), ([], ["more"]), (None, ["more"])],
    ids=["some", "empty", "null"],
)
def test_tags_that_a_task_adds_are_recorded_also_where_a_scorer_fails(
    cloud: StandIn, tags: Any, recorded: list[str]
) -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        hooks.tags.append("more")
        return input

    def broken(output: Any) -> Any:
        raise RuntimeError("out of order")

    api = api_of(cloud, Evaluator("e", task, scores=[broken]))
    api.events(name="e", data=[{"input": 1, "tags": tags}])
    (case,) = cloud.spans_named("eval")
    assert case.attributes["braintrust.tags"] == recorded


# --- Where cases come from ---

ROW = {"id": "row-1", "_xact_id": "100", "created": "2026-06-01T00:00:00Z", "input": 1}
SOURCE = {
    "object_type": "project_logs",
    "object_id": "00000000-0000-0000-0000-000000000002",
    "id": "source-row",
}


def test_the_origin_of_a_datasets_case_is_its_row_and_not_what_the_row_came_from(
    cloud: StandIn,
) -> None:
    dataset = cloud.add_dataset("acme", "p", "d", [{**ROW, "origin": SOURCE}])

    def task(input: Any, hooks: EvalHooks) -> Any:
        hooks.report_progress({"event": "text_delta", "data": "half"})
        return input

    events = api_of(cloud, Evaluator("e", task)).events(name="e", data={"dataset_id": dataset})
    origin = {
        "object_type": "dataset",
        "object_id": dataset,
        **{key: ROW[key] for key in ("id", "_xact_id", "created")},
    }
    (case,) = progress(events).values()
    assert [each["event"] for each in case] == ["text_delta", "json_delta", "done"]
    assert [each["origin"] for each in case] == [origin] * 3
    (span,) = cloud.spans_named("eval")
    assert span.json("braintrust.origin") == origin


def test_an_origin_in_the_request_is_kept_and_a_case_without_has_none(cloud: StandIn) -> None:
    cases = [{"input": 1, "origin": {**SOURCE, "_xact_id": "7"}}, {"input": 2}]
    events = api_of(cloud).events(name="echo", data=cases)
    first, second = progress(events).values()
    assert [each["origin"] for each in first] == [{**SOURCE, "_xact_id": "7"}] * 2
    assert not [each for each in second if "origin" in each]
    spans = {span.json("braintrust.input_json"): span for span in cloud.spans_named("eval")}
    assert spans[1].json("braintrust.origin") == {**SOURCE, "_xact_id": "7"}
    assert "braintrust.origin" not in spans[2].attributes

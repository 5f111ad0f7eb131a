"""The spans of each case, for the page that asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flask_braintrust_evals import Classification, EvalHooks, Evaluator
from tests.standin import StandIn
from tests.web.support import Api, Event, api_of, make_app

ASKED: dict[str, Any] = {"case_results": True, "case_spans": True}
SECRET_PLACE = "test_case_spans.py"


def agent(input: Any, hooks: EvalHooks) -> Any:
    with hooks.span.start_span("look up", type="tool", input=input) as span:
        span.log(output="found")
    with hooks.span.start_span(
        "chat", type="llm", input=[{"role": "user", "content": "hi"}]
    ) as span:
        span.log(output="ho", metrics={"prompt_tokens": 2, "completion_tokens": 3})
        if input == "bad":
            raise ValueError("no good")
    return input


def exact(output: Any) -> bool:
    return bool(output == "a")


def broken(output: Any) -> float:
    raise RuntimeError("out of order")


def label(output: Any) -> Classification:
    return Classification(id="short")


def evaluator() -> Evaluator:
    return Evaluator("agent", agent, scores=[exact, broken], classifiers=[label])


def page_api(**config: Any) -> Api:
    config = {"BRAINTRUST_EVALS_AUTH": "none", "BRAINTRUST_EVALS_PLAYGROUND": True, **config}
    return Api(make_app(evaluator(), **config), token=None)


def of_type(events: list[Event], type: str) -> list[Any]:
    return [each.json for each in events if each.type == type]


def tree(spans: list[Mapping[str, Any]]) -> dict[str, str | None]:
    """The names of all spans, each with that of the span above it."""
    names = {each["id"]: each["name"] for each in spans}
    return {each["name"]: names.get(each["parent_id"]) for each in spans}


def test_each_case_is_followed_by_its_spans_without_any_account() -> None:
    events = page_api().events(name="agent", data=[{"input": "a"}, {"input": "bad"}], **ASKED)
    good, bad = of_type(events, "case_spans")
    results = of_type(events, "case_result")
    assert [each["id"] for each in (good, bad)] == [each["id"] for each in results]
    kinds = [each.type for each in events]
    assert kinds.index("case_spans") == kinds.index("case_result") + 1

    assert tree(good["spans"]) == {
        "eval": None,
        "task": "eval",
        "look up": "task",
        "chat": "task",
        "exact": "eval",
        "broken": "eval",
        "label": "eval",
    }
    by_name = {each["name"]: each for each in good["spans"]}
    assert by_name["look up"]["type"] == "tool"
    assert (by_name["look up"]["input"], by_name["look up"]["output"]) == ("a", "found")
    assert by_name["chat"]["metrics"]["tokens"] == 5
    assert by_name["exact"]["scores"] == {"exact": 1.0}
    assert by_name["broken"]["error"] == "RuntimeError: out of order"
    assert SECRET_PLACE in by_name["broken"]["error_stack"]
    assert by_name["task"]["output"] == "a"
    assert all(0 <= each["start"] <= each["end"] < 60 for each in good["spans"])
    assert good["left_out"] == 0
    assert results[0]["metrics"]["tokens"] == 5, "tokens are counted, too"

    assert results[1]["error_place"].startswith("tests/web/eval_requests/test_case_spans.py:")
    assert results[1]["error_place"].endswith('in agent: raise ValueError("no good")')
    assert results[1]["error_stack"].endswith("ValueError: no good\n")
    assert "error_place" not in results[0]
    failed = {each["name"] for each in bad["spans"] if "error" in each}
    assert failed == {"eval", "task", "chat"}


@pytest.mark.parametrize(
    ("config", "body"),
    [
        ({}, {"case_results": True}),
        ({}, {"case_results": True, "case_spans": False}),
        ({}, {"case_spans": True}),
        ({"BRAINTRUST_EVALS_PLAYGROUND": False}, ASKED),
    ],
    ids=["not asked", "refused", "without results", "no page"],
)
def test_spans_and_stacks_are_sent_to_the_page_only_and_only_if_it_asks(
    config: dict[str, Any], body: dict[str, Any]
) -> None:
    response = page_api(**config).eval(name="agent", data=[{"input": "bad"}], **body)
    assert response.status_code == 200
    assert "case_spans" not in response.text
    assert SECRET_PLACE not in response.text
    assert "look up" not in response.text


def test_stack_traces_are_left_out_where_the_application_shows_none() -> None:
    api = page_api(BRAINTRUST_EVALS_STACK_TRACES=False)
    response = api.eval(name="agent", data=[{"input": "bad"}], **ASKED)
    assert "event: case_spans" in response.text
    assert "ValueError: no good" in response.text
    assert SECRET_PLACE not in response.text


def test_a_recorded_run_sends_its_spans_both_ways(cloud: StandIn) -> None:
    api = api_of(cloud, evaluator(), BRAINTRUST_EVALS_PLAYGROUND=True)
    events = api.events(name="agent", data=[{"input": "a"}], **ASKED)
    (sent,) = of_type(events, "case_spans")
    ids = {each["id"] for each in sent["spans"]}
    assert len(ids) == 7
    recorded = {span.span_id for span in cloud.spans}
    assert len(recorded) == 6, "the eval span, which has labels, is sent as a row"
    assert recorded < ids


def test_a_json_answer_is_the_summary_alone() -> None:
    summary = page_api().summary(name="agent", data=[{"input": "a"}], **ASKED)
    assert "spans" not in summary
    assert summary["scores"]["exact"]["score"] == 1

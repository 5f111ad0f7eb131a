"""Scorers, those of the evaluator and those saved in Braintrust: results, spans and failures.

From the tests of the SDKs in Ruby (``runner_test.rb``, ``scorer_test.rb``), Go (``eval_test.go``,
``scorer_api_test.go``), Java (``DevserverTest``, ``ScorerBrainstoreImplTest``) and Python
(``test_framework.py``). Where a task or a scorer fails, Java counts a score of 0; the others and
this server count none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals import Evaluator, Score
from tests.standin import StandIn, StoredSpan
from tests.web.support import CASES, Event, api_of, echo, exact, last_json, scored

Scorer = Callable[..., Any]


def named(name: str, result: Callable[[Any], Any]) -> Scorer:
    def scorer(output: Any) -> Any:
        return result(output)

    scorer.__name__ = name
    return scorer


def run(cloud: StandIn, *scorers: Scorer, inputs: Any = ("x",), **fields: Any) -> list[Event]:
    api = api_of(cloud, Evaluator("e", fields.pop("task", echo), scores=scorers))
    return api.events(name="e", data=[{"input": each} for each in inputs], **fields)


def means(events: list[Event]) -> dict[str, Any]:
    scores = last_json(events, "summary")["scores"]
    return {name: score["score"] for name, score in scores.items()}


def span_of(cloud: StandIn, name: str = "quality") -> StoredSpan:
    (span,) = cloud.spans_named(name)
    return span


WHY = {"reason": "on topic"}
SCORES, METADATA = "braintrust.scores", "braintrust.metadata"


@pytest.mark.parametrize(
    ("result", "scores", "metadata"),
    [
        pytest.param(0.5, {"quality": 0.5}, None, id="number"),
        pytest.param(1, {"quality": 1}, None, id="whole number"),
        pytest.param(True, {"quality": 1}, None, id="true"),
        pytest.param(False, {"quality": 0}, None, id="false"),
        pytest.param({"score": 0.75}, {"quality": 0.75}, None, id="object"),
        pytest.param({"name": "other", "score": 0.9}, {"other": 0.9}, None, id="object with name"),
        pytest.param({"score": 1, "metadata": WHY}, {"quality": 1}, WHY, id="metadata"),
        pytest.param({"score": 1, "metadata": None}, {"quality": 1}, None, id="null as metadata"),
        pytest.param([0.5], {"quality": 0.5}, None, id="list of one number"),
        pytest.param([{"score": 0.8, "metadata": WHY}], {"quality": 0.8}, WHY, id="list of one"),
        pytest.param(
            [{"name": "relevance", "score": 0.9, "metadata": WHY}, {"name": "tone", "score": 0.7}],
            {"relevance": 0.9, "tone": 0.7},
            {"relevance": WHY},
            id="several",
        ),
        pytest.param(Score("other", 0.25, WHY), {"other": 0.25}, WHY, id="Score"),
    ],
)
def test_what_a_scorer_returns_is_in_the_summary_and_on_its_span(
    cloud: StandIn, result: Any, scores: dict[str, float], metadata: Any
) -> None:
    assert means(run(cloud, named("quality", lambda output: result))) == scores
    span = span_of(cloud)
    assert span.json(SCORES) == scores
    assert span.json("braintrust.span_attributes")["purpose"] == "scorer"
    assert (span.json(METADATA) if METADATA in span.attributes else None) == metadata


@pytest.mark.parametrize("result", [None, {"score": None}, []], ids=["none", "object", "no list"])
def test_no_score_is_no_failure_and_is_not_in_the_mean(cloud: StandIn, result: Any) -> None:
    events = run(
        cloud, named("quality", lambda output: 1 if output == "b" else result), inputs="ab"
    )
    assert means(events) == {"quality": 1}
    assert "errors" not in last_json(events, "summary")


def test_scores_of_several_cases_are_averaged_by_name(cloud: StandIn) -> None:
    def two(output: str) -> list[dict[str, Any]]:
        return [{"name": "length", "score": len(output) / 4}, {"name": "tone", "score": 0.5}]

    assert means(run(cloud, two, inputs=["a", "abcd"])) == {"length": 0.625, "tone": 0.5}


def test_scorers_may_return_different_kinds(cloud: StandIn) -> None:
    scorers = [
        named("number", lambda output: 0.8),
        named("object", lambda output: {"score": 0.6, "metadata": {"detail": "partial"}}),
    ]
    assert means(run(cloud, *scorers)) == {"number": 0.8, "object": 0.6}
    assert METADATA not in span_of(cloud, "number").attributes
    assert span_of(cloud, "object").json(METADATA) == {"detail": "partial"}


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({}, id="empty object"),
        pytest.param({"name": "quality", "id": "a"}, id="classification"),
        pytest.param({"score": "high"}, id="text as score"),
        pytest.param("0.5", id="text"),
        pytest.param(1.5, id="above 1"),
        pytest.param({"score": -1}, id="below 0"),
    ],
)
@pytest.mark.parametrize("hosted", [False, True], ids=["own", "hosted"])
def test_what_is_no_score_is_a_failure_of_that_scorer_alone(
    cloud: StandIn, result: Any, hosted: bool
) -> None:
    good = named("good", lambda output: 1)
    if hosted:
        function = cloud.add_function(lambda input: result)
        scores = [{"name": "quality", "function_id": {"function_id": function}}]
        events = run(cloud, good, scores=scores)
    else:
        events = run(cloud, named("quality", lambda output: result), good)
    assert means(events) == {"good": 1}
    assert last_json(events, "summary")["errors"] == {"cases": 0, "scorers": {"quality": 1}}
    assert span_of(cloud).status_code == "ERROR"
    assert span_of(cloud, "good").status_code != "ERROR"


def test_a_scorer_that_fails_for_one_case_scores_the_others(cloud: StandIn) -> None:
    def picky(output: str) -> float:
        if output == "bad":
            raise ValueError("not this one")
        return 1

    events = run(cloud, picky, inputs=["a", "bad", "c"])
    assert means(events) == {"picky": 1}
    assert last_json(events, "summary")["errors"] == {"cases": 0, "scorers": {"picky": 1}}
    assert len(cloud.spans_named("picky")) == 3


def test_a_failed_task_is_not_scored_and_does_not_count_as_0(cloud: StandIn) -> None:
    def task(input: str) -> str:
        if input == "bad":
            raise RuntimeError("task failed")
        return input

    events = run(cloud, named("quality", lambda output: 0.7), inputs=["good", "bad"], task=task)
    assert means(events) == {"quality": 0.7}
    assert last_json(events, "summary")["errors"]["cases"] == 1
    assert len(cloud.spans_named("quality")) == 1


# --- Scorers saved in Braintrust ---


@pytest.mark.parametrize(
    ("result", "scores"),
    [
        pytest.param(0.5, {"far": 0.5}, id="number"),
        pytest.param(True, {"far": 1}, id="boolean"),
        pytest.param(None, {}, id="null"),
        pytest.param({"score": 0.5}, {"far": 0.5}, id="object"),
        pytest.param({"name": "typescript exact", "score": 1}, {"typescript exact": 1}, id="name"),
        pytest.param({"name": "far", "score": None, "metadata": {"choice": "A"}}, {}, id="judge"),
        pytest.param({"name": "far", "metadata": {"choice": "A"}}, {}, id="undefined"),
        pytest.param([{"name": "a", "score": 1}, {"name": "b"}], {"a": 1}, id="one undefined"),
        pytest.param(
            [{"name": "a", "score": 1}, {"name": "b", "score": 0}], {"a": 1, "b": 0}, id="list"
        ),
    ],
)
def test_what_a_hosted_scorer_answers_is_scored_as_what_a_function_returns(
    cloud: StandIn, result: Any, scores: dict[str, float]
) -> None:
    function = cloud.add_function(lambda input: result)
    given = [{"name": "far", "function_id": {"function_id": function}}]
    events = run(cloud, scores=given)
    assert means(events) == scores
    assert "errors" not in last_json(events, "summary")


def test_hosted_scorers_of_a_version_and_without_run_beside_each_other(cloud: StandIn) -> None:
    function = cloud.add_function(lambda input: input["output"] == input["expected"])
    scores = [
        {"name": "latest", "function_id": {"function_id": function}},
        {"name": "pinned", "function_id": {"function_id": function, "version": "42"}},
    ]
    events = api_of(cloud, scored()).events(name="greeter", data=CASES, scores=scores)
    assert means(events) == {"exact": 0.5, "latest": 0.5, "pinned": 0.5}
    calls = cloud.calls_to("POST", "/function/invoke")
    assert sorted(call.json.get("version", "none") for call in calls) == [
        "42",
        "42",
        "none",
        "none",
    ]


def test_a_hosted_scorer_has_the_same_tree_of_spans_as_one_of_the_evaluator(
    cloud: StandIn,
) -> None:
    function = cloud.add_function(lambda input: 1)
    scores = [{"name": "far", "function_id": {"function_id": function}}]
    api = api_of(cloud, Evaluator("e", echo, scores=[exact]))
    api.events(name="e", data=CASES, scores=scores)
    by_id = {span.span_id: span for span in cloud.spans}
    assert len(by_id) == 8
    for name in ("far", "exact"):
        for span in cloud.spans_named(name):
            assert by_id[span.parent_span_id].name == "eval"
            attributes = span.json("braintrust.span_attributes")
            assert attributes == {"type": "score", "name": name, "purpose": "scorer"}

"""Classifiers: what they may return, what is recorded, and what their failures cost.

From the specification of classifiers (``features/classifiers.md``) and the tests of the SDKs in
JavaScript (``framework.test.ts``), Ruby (``runner_test.rb``, ``classifier_test.rb``), Go
(``classifiers_test.go``) and Java (``ClassifierEvalTest``). The specification asks for at least one
scorer or classifier; this server also runs evaluators that have neither. It passes over ``null`` in
a list of labels, where the specification asks for an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals import Evaluator
from tests.standin import StandIn
from tests.web.support import PLAYGROUND, Api, api_of, deltas, echo, exact, last_json

Classifier = Callable[..., Any]


def returning(result: Any, name: str = "mood") -> Classifier:
    def classifier(output: Any) -> Any:
        if isinstance(result, BaseException):
            raise result
        return result

    classifier.__name__ = name
    return classifier


def roots(cloud: StandIn) -> list[dict[str, Any]]:
    """The rows of all cases in the Playground."""
    rows = cloud.recorded(f"playground_id:{PLAYGROUND['object_id']}")
    return [row for row in rows if row["is_root"]]


def run(cloud: StandIn, *classifiers: Classifier, **case: Any) -> dict[str, Any]:
    """The row of a run of one case, which must succeed with a score of 1."""
    api = api_of(cloud, Evaluator("e", echo, scores=[exact], classifiers=classifiers))
    events = api.events(name="e", data=[{"input": "x", "expected": "x", **case}])
    assert len(deltas(events)) == 1
    assert last_json(events, "summary")["scores"]["exact"]["score"] == 1
    (row,) = roots(cloud)
    assert row["input"] == "x"
    return row


LABELS = "classifications"


@pytest.mark.parametrize(
    ("result", "labels"),
    [
        pytest.param({"id": "good"}, {"mood": [{"id": "good"}]}, id="no name"),
        pytest.param({"name": "", "id": "good"}, {"mood": [{"id": "good"}]}, id="empty name"),
        pytest.param({"name": None, "id": "good"}, {"mood": [{"id": "good"}]}, id="null as name"),
        pytest.param({"name": "tone", "id": "good"}, {"tone": [{"id": "good"}]}, id="other name"),
        pytest.param(
            {"id": "good", "label": "Good", "metadata": {"sure": 0.9}},
            {"mood": [{"id": "good", "label": "Good", "metadata": {"sure": 0.9}}]},
            id="label and metadata",
        ),
        pytest.param(
            [{"id": "b"}, {"id": "a"}, {"id": "b"}],
            {"mood": [{"id": "b"}, {"id": "a"}, {"id": "b"}]},
            id="several in their order, one of them twice",
        ),
        pytest.param(
            [{"name": "tone", "id": "calm"}, {"name": "length", "id": "short"}],
            {"tone": [{"id": "calm"}], "length": [{"id": "short"}]},
            id="several names",
        ),
    ],
)
def test_labels_are_in_the_row_of_the_case_by_their_names(
    cloud: StandIn, result: Any, labels: dict[str, Any]
) -> None:
    assert run(cloud, returning(result))[LABELS] == labels


def test_on_a_classifiers_span_a_single_label_is_bare_as_in_python(cloud: StandIn) -> None:
    run(cloud, returning({"id": "good", "label": "Good"}))
    (span,) = cloud.spans_named("mood")
    assert span.json("braintrust.output_json") == {"id": "good", "label": "Good"}


@pytest.mark.parametrize("result", [None, [], [None]], ids=["none", "empty list", "null in a list"])
def test_without_labels_nothing_is_recorded_of_them_and_nothing_failed(
    cloud: StandIn, result: Any
) -> None:
    case = run(cloud, returning(result))
    assert LABELS not in case
    assert "metadata" not in case


def test_labels_of_several_classifiers_under_one_name_are_in_one_list(cloud: StandIn) -> None:
    first = returning({"name": "topic", "id": "a"}, "first")
    second = returning({"name": "topic", "id": "b"}, "second")
    assert run(cloud, first, second)[LABELS] == {"topic": [{"id": "a"}, {"id": "b"}]}


def test_a_classifiers_span_says_what_it_is_and_what_it_was_given(cloud: StandIn) -> None:
    case = run(cloud, returning({"id": "good"}), metadata={"m": 1})
    (span,) = cloud.spans_named("mood")
    assert span.parent_span_id == case["span_id"]
    assert span.json("braintrust.span_attributes") == {
        "type": "classifier",
        "name": "mood",
        "purpose": "scorer",
    }
    given = span.json("braintrust.input_json")
    assert {key: given[key] for key in ("input", "output", "expected", "metadata")} == {
        "input": "x",
        "output": "x",
        "expected": "x",
        "metadata": {"m": 1},
    }


@pytest.mark.parametrize(
    "result",
    [
        pytest.param({}, id="empty object"),
        pytest.param("good", id="text"),
        pytest.param(1, id="number"),
        pytest.param([{"id": "a"}, {}], id="empty object in a list"),
        pytest.param({"id": ""}, id="empty id"),
        pytest.param({"label": "Good"}, id="no id"),
        pytest.param(RuntimeError("out of order"), id="exception"),
    ],
)
def test_a_failed_classifier_costs_its_own_labels_alone(cloud: StandIn, result: Any) -> None:
    case = run(cloud, returning(result, "broken"), returning({"id": "good"}), metadata={"m": 1})
    assert case[LABELS] == {"mood": [{"id": "good"}]}
    metadata = case["metadata"]
    assert (metadata["m"], list(metadata["classifier_errors"])) == (1, ["broken"])
    assert "scorer_errors" not in metadata
    (span,) = cloud.spans_named("broken")
    assert (span.status_code, [name for name, _ in span.events]) == ("ERROR", ["exception"])
    assert "error" not in case


def test_failed_scorers_and_classifiers_are_distinguished(cloud: StandIn) -> None:
    def judge(output: Any) -> Any:
        raise ValueError("no verdict")

    classifiers = [returning(RuntimeError("out of order"), "broken")]
    api = api_of(cloud, Evaluator("e", echo, scores=[judge], classifiers=classifiers))
    summary = last_json(api.events(name="e", data=[{"input": "x"}]), "summary")
    (case,) = roots(cloud)
    assert case["metadata"] == {
        "scorer_errors": {"judge": "ValueError: no verdict"},
        "classifier_errors": {"broken": "RuntimeError: out of order"},
    }
    # The summary counts both in one place.
    assert summary["errors"] == {"cases": 0, "scorers": {"judge": 1, "broken": 1}}


def test_where_all_classifiers_failed_there_are_no_labels(cloud: StandIn) -> None:
    case = run(cloud, returning({}, "one"), returning(ValueError("no"), "two"))
    assert LABELS not in case
    assert list(case["metadata"]["classifier_errors"]) == ["one", "two"]


def test_each_case_has_its_own_labels(cloud: StandIn) -> None:
    def same(output: str) -> Any:
        return {"id": output}

    api = api_of(cloud, Evaluator("e", echo, classifiers=[same]))
    api.events(name="e", data=[{"input": each} for each in "abc"])
    labels = {row["input"]: row[LABELS] for row in roots(cloud)}
    assert labels == {key: {"same": [{"id": key}]} for key in "abc"}


@pytest.mark.parametrize("scores", [[], [exact]], ids=["classifiers alone", "scorers too"])
def test_classifiers_are_listed_and_give_no_scores(cloud: StandIn, scores: list[Any]) -> None:
    classifiers = [returning({"id": "good"})]
    api = api_of(cloud, Evaluator("e", echo, scores=scores, classifiers=classifiers))
    entry = api.get("/list").get_json()["e"]
    assert entry["classifiers"] == [{"name": "mood"}]
    assert [each["name"] for each in entry["scores"]] == [each.__name__ for each in scores]
    summary = last_json(api.events(name="e", data=[{"input": "x", "expected": "x"}]), "summary")
    assert list(summary["scores"]) == [each.__name__ for each in scores]


def test_an_evaluator_without_scorers_and_classifiers_runs(api: Api) -> None:
    events = api.events(name="echo", data=[{"input": "x"}])
    assert [each["data"] for each in deltas(events)] == ['"x"']
    assert last_json(events, "summary")["scores"] == {}

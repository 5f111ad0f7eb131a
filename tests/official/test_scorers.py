"""Scorers and classifiers: what they are, what they are given, what they may return, how they fail.

From https://www.braintrust.dev/docs/evaluate/write-scorers and .../evaluate/custom-code, and for
errors from the reference of ``Eval`` (https://www.braintrust.dev/docs/sdks/python/versions/0.48.1):

- a scorer returns a number from 0 to 1, a bool, ``None`` where a case is not to be scored, a
  ``Score``, a dict with ``score`` and optionally ``name`` and ``metadata``, or a list of scores
  with names;
- scorers are functions, ``async`` ones too, objects of the classes of autoevals, and lambdas;
- they take what they name of ``input``, ``output``, ``expected``, ``metadata``, ``tags``, ``id``,
  ``trace``, or all of it as ``**kwargs``;
- a classifier returns a label with ``id`` and optionally ``name``, ``label`` and ``metadata``, a
  list of them, or nothing; labels are kept apart from scores; an evaluator need not have scorers;
- a scorer that fails takes no other's score away, and an ``error_score_handler`` may give one;
- scorers that are added in the Playground are added to those of the evaluator.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.standin import StandIn

from .outcome import Pair, cases

pytestmark = pytest.mark.official


def test_all_that_scorers_may_return_counts_alike(pair: Pair) -> None:
    official, ours = pair.run("returning", cases("a", "b"))
    assert official.scores == pytest.approx(ours.scores)
    assert official.scores["a_bool"] == 1
    # None removes a case from the mean, and a score that all cases lack from the summary.
    assert official.scores["sometimes"] == 1
    assert "nothing" not in official.scores


@pytest.mark.parametrize(
    "name", ["a_renamed_object", "an_object", "a_dict", "a_named_dict", "a_list", "nothing"]
)
def test_scores_are_recorded_alike(pair: Pair, name: str) -> None:
    pair.run("returning", cases("a"))
    (official,), (ours,) = pair.recorded(name)
    assert official["scores"] == ours["scores"]
    assert official.type == ours.type == "score"
    assert official.above == ours.above == "eval"
    assert official["purpose"] == ours["purpose"] == "scorer"


@pytest.mark.parametrize("name", ["an_object", "a_dict", "a_number"])
def test_metadata_of_a_score_is_recorded_alike_where_there_is_any(pair: Pair, name: str) -> None:
    pair.run("returning", cases("a"))
    (official,), (ours,) = pair.recorded(name)
    # The official server also records that there is none.
    assert official["metadata"] == (ours["metadata"] or {})


def test_all_that_scorers_may_be_is_called_and_named_alike(pair: Pair) -> None:
    official, ours = pair.run("objects", cases("a"))
    assert official.scores == ours.scores
    names = ["AsyncJudge", "Caller", "Judge", "named by _name", "scorer_4"]
    assert sorted(official.scores) == names


def test_a_partial_scores_alike_under_the_name_that_each_gives_it(pair: Pair) -> None:
    official, ours = pair.run("partial", cases("a"))
    assert (official.scores, ours.scores) == ({"partial": 0.9}, {"share": 0.9})


CASE = {"input": "a", "expected": "b", "metadata": {"m": 1}, "tags": ["t"], "id": "case-1"}


@pytest.mark.parametrize(
    ("evaluator", "scorer"), [("given", "by_name"), ("given otherwise", "of_other_names")]
)
def test_scorers_are_given_the_same_by_name_and_by_place(
    pair: Pair, evaluator: str, scorer: str
) -> None:
    pair.run(evaluator, [CASE])
    (official,), (ours,) = pair.recorded(scorer)
    assert official["metadata"] == ours["metadata"]


def test_scorers_that_take_everything_are_given_the_same(pair: Pair) -> None:
    pair.run("given", [CASE])
    (official,), (ours,) = pair.recorded("everything")
    assert official["metadata"]["given"] == ours["metadata"]["given"]


def test_a_case_without_tags_has_none_under_the_official_server_and_an_empty_list_under_ours(
    pair: Pair,
) -> None:
    pair.run("given", [{"input": "a"}])
    (official,), (ours,) = pair.recorded("by_name")
    assert official["metadata"] == {**ours["metadata"], "tags": None}
    assert ours["metadata"]["tags"] == []


def test_a_scorer_reads_the_spans_of_its_case_alike(pair: Pair, cloud: StandIn) -> None:
    official, ours = pair.run("given", cases("a"))
    for each in pair.recorded("of_the_trace"):
        assert each[0]["metadata"] == {"outputs": ["a"]}
    assert official.scores["of_the_trace"] == ours.scores["of_the_trace"] == 1
    # The official server asks Braintrust for what it has just sent there.
    assert cloud.calls_to("POST", "/btql")


# --- Scorers that fail ---

BROKEN = ["raising", "raising_later", "too_large", "of_text", "without_fields"]


def test_a_failing_scorer_takes_no_other_score_away(pair: Pair) -> None:
    official, ours = pair.run("failing scorers", cases("a"))
    assert official.cases == ours.cases
    assert official.scores == ours.scores == {"exact": 1}
    for name in BROKEN:
        for recorded in pair.recorded(name):
            assert recorded[0]["error"]
    for (case,) in pair.recorded("eval"):
        assert sorted(case["metadata"]["scorer_errors"]) == sorted(BROKEN)
        assert case["error"] is None


def test_failing_scorers_are_counted_in_the_summary_of_ours_alone(pair: Pair) -> None:
    official, ours = pair.run("failing scorers", cases("a"))
    assert "errors" not in official.events[-2].json
    assert ours.events[-2].json["errors"] == {"cases": 0, "scorers": dict.fromkeys(BROKEN, 1)}


def test_not_a_number_breaks_the_official_summary_and_is_a_failure_of_its_scorer_under_ours(
    pair: Pair,
) -> None:
    official, ours = pair.run("not a number", cases("a"))
    assert "NaN" in official.events[-2].data
    assert ours.scores == {"exact": 1}


def test_a_list_of_bare_numbers_is_a_failure_officially_and_numbered_by_ours(pair: Pair) -> None:
    official, ours = pair.run("of numbers", cases("a"))
    assert official.scores == {"exact": 1}
    assert ours.scores == {"exact": 1, "of_numbers": 0.25, "of_numbers (2)": 0.75}


def test_a_dict_with_a_name_and_no_score_is_no_score_officially_and_a_failure_under_ours(
    pair: Pair,
) -> None:
    official, ours = pair.run("without score", cases("a"))
    assert official.scores == ours.scores == {"exact": 1}
    (of_official,), (of_ours,) = pair.recorded("without_score")
    assert (of_official["error"], of_official["scores"]) == (None, {"without_score": None})
    assert "needs the key 'score'" in of_ours["error"]


@pytest.mark.parametrize(
    ("evaluator", "scores"),
    [
        ("unhandled errors", {"exact": 1}),
        ("zero for errors", {"exact": 0.5, "raising": 0}),
        ("half for errors", {"exact": 0.75, "raising": 0.5}),
    ],
)
def test_a_handler_of_errors_gives_scores_alike(
    pair: Pair, evaluator: str, scores: dict[str, float]
) -> None:
    official, ours = pair.run(evaluator, cases("a", "bad"))
    assert official.scores == ours.scores == scores


# --- Scorers of the Playground ---


def remote(cloud: StandIn, name: str, result: Any, **slug: Any) -> dict[str, Any]:
    id = cloud.add_function(lambda input: result, **slug)
    return {"name": name, "function_id": {"function_id": id}}


def test_scorers_of_the_playground_are_added_alike(pair: Pair, cloud: StandIn) -> None:
    broken = cloud.add_function(lambda input: 1 / 0)
    scores = [
        remote(cloud, "number", 0.25),
        remote(cloud, "nothing", None),
        remote(cloud, "dict", {"name": "renamed", "score": 0.5, "metadata": {"w": 1}}),
        remote(cloud, "list", [{"name": "x", "score": 1}, {"name": "y", "score": 0}]),
        {"name": "broken", "function_id": {"function_id": broken}},
    ]
    official, ours = pair.run("echo", cases("a"), scores=scores)
    assert official.scores == ours.scores
    assert official.scores == {"exact": 1, "number": 0.25, "renamed": 0.5, "x": 1, "y": 0}


def test_scorers_of_the_playground_are_sent_the_same_and_by_ours_more_of_the_case(
    pair: Pair, cloud: StandIn
) -> None:
    pair.run("echo", [CASE], scores=[remote(cloud, "number", 1)])
    official, ours = cloud.calls_to("POST", "/function/invoke")
    of_official, of_ours = official.json["input"], ours.json["input"]
    both = {name: of_ours[name] for name in of_official}
    assert {**official.json, "parent": None} == {**ours.json, "parent": None, "input": both}
    # As the official server in JavaScript.
    assert of_ours.keys() - of_official.keys() == {"id", "tags", "trace"}
    assert official.headers["x-bt-org-name"] == ours.headers["x-bt-org-name"] == "acme"
    # Without one, the scorer's own spans are in no trace.
    assert official.json["parent"] == ""
    assert ours.json["parent"]["row_ids"]["root_span_id"]


def test_a_scorer_of_a_name_that_is_taken_hides_the_other_officially_and_is_numbered_by_ours(
    pair: Pair, cloud: StandIn
) -> None:
    official, ours = pair.run("echo", cases("a"), scores=[remote(cloud, "exact", 0.25)])
    assert official.scores == {"exact": 0.25}
    assert ours.scores == {"exact": 1, "exact (2)": 0.25}


def test_a_scorer_is_found_by_its_global_name_alike(pair: Pair, cloud: StandIn) -> None:
    cloud.add_function(lambda input: 0.5, slug="everybodys")
    named = {"name": "remote", "function_id": {"global_function": "everybodys"}}
    official, ours = pair.run("echo", cases("a"), scores=[named])
    assert official.scores == ours.scores == {"exact": 1, "remote": 0.5}


def test_a_scorer_named_by_project_and_slug_is_found_by_ours_alone(
    pair: Pair, cloud: StandIn
) -> None:
    cloud.add_function(lambda input: 0.5, slug="judge", project="golden")
    named = {"name": "remote", "function_id": {"project_name": "golden", "slug": "judge"}}
    body = {"name": "echo", "data": {"data": cases("a")}, "scores": [named], "stream": False}
    assert pair.post(body) == (400, 200)


# --- Classifiers ---


def test_labels_are_recorded_alike_and_are_no_scores(pair: Pair) -> None:
    official, ours = pair.run("classified", cases("a"))
    assert official.scores == ours.scores == {"exact": 1}
    (of_official,), (of_ours,) = pair.recorded("eval")
    assert of_official["classifications"] == of_ours["classifications"]
    assert of_official["classifications"] == {
        "topic": [{"id": "text", "label": "Text", "metadata": {"length": 1}}],
        "decision": [{"id": "yes"}],
        "several": [{"id": "one"}, {"id": "two"}],
        "apart": [{"id": "three"}],
        "later": [{"id": "same"}],
        "classifier_7": [{"id": "unnamed"}],
    }


@pytest.mark.parametrize("name", ["topic", "later", "none_of_them", "broken", "classifier_7"])
def test_each_classifier_has_a_span_of_its_own_alike(pair: Pair, name: str) -> None:
    pair.run("classified", cases("a"))
    (official,), (ours,) = pair.recorded(name)
    assert official.type == ours.type == "classifier"
    assert official.above == ours.above == "eval"
    assert bool(official["error"]) == bool(ours["error"]) == (name == "broken")


def test_a_failing_classifier_does_not_fail_the_case(pair: Pair) -> None:
    official, ours = pair.run("classified", cases("a"))
    assert official.cases == ours.cases
    (of_official,), (of_ours,) = pair.recorded("eval")
    for each in (of_official, of_ours):
        assert sorted(each["metadata"]["classifier_errors"]) == ["broken", "without_id"]
        assert "scorer_errors" not in each["metadata"]


def test_classifiers_alone_make_an_evaluator_alike(pair: Pair) -> None:
    official, ours = pair.run("only classified", cases("a"))
    assert official.cases == ours.cases
    assert official.scores == ours.scores == {}
    assert official.kinds == ours.kinds == ["summary", "done"]

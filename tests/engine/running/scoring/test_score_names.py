"""Scores of one name are kept apart, so that none hides another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals.engine.calls.signatures import ScorerCall, unique_names
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.names import FreeNames, free_name
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.engine.values.scores import Classification, Score
from tests.engine.support import echo, events_of, inputs, results_of, run_case


def named(name: str, result: Any) -> Callable[..., Any]:
    """A scorer of that name, which returns ``result`` or raises it."""

    def scorer(input: Any) -> Any:
        value = result(input) if callable(result) else result
        if isinstance(value, Exception):
            raise value
        return value

    scorer.__name__ = name
    return scorer


def call(name: str, result: Any) -> ScorerCall:
    return ScorerCall(name, named(name, result), (), ("input",))


def numbers(result: CaseResult) -> dict[str, float | None]:
    return {name: score.score for name, score in result.scores.items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["x", "y"], ["x", "y"], id="different"),
        pytest.param(["x", "x", "x"], ["x", "x (2)", "x (3)"], id="the same"),
        pytest.param(["x", "x (2)", "x"], ["x", "x (2)", "x (3)"], id="the next is taken"),
        pytest.param(["x", "x", "x (2)"], ["x", "x (2)", "x (2) (2)"], id="the next comes later"),
    ],
)
def test_scorers_get_names_that_are_all_different(names: list[str], expected: list[str]) -> None:
    assert [scorer.name for scorer in unique_names([call(name, 1) for name in names])] == expected


def test_names_that_are_different_already_stay_and_so_do_those_of_before() -> None:
    once = unique_names([call("x", 1), call("x", 1)])
    again = unique_names([*once, call("x", 1)])
    assert [(each.name, each.own_name) for each in again] == [
        ("x", "x"),
        ("x (2)", "x"),
        ("x (3)", "x"),
    ]


def test_a_free_name_is_the_first_that_is_not_taken() -> None:
    assert free_name("x", set()) == "x"
    assert free_name("x", {"x", "x (2)", "x (4)"}) == "x (3)"


def test_a_free_name_is_found_at_once_however_often_it_was_asked_for() -> None:
    looked_up: list[object] = []

    class Taken(set[str]):
        def __contains__(self, name: object) -> bool:
            looked_up.append(name)
            return super().__contains__(name)

    taken = Taken({"x (3)"})
    free = FreeNames(taken)
    found = []
    for _ in range(1000):
        found.append(free.next("x"))
        taken.add(found[-1])
    assert found[:3] == ["x", "x (2)", "x (4)"]
    assert found[-1] == "x (1001)"
    assert len(looked_up) < 4000


def test_an_extra_scorer_does_not_hide_one_of_the_evaluators_own() -> None:
    evaluator = Evaluator("e", echo, scores=[named("x", 0.25), named("y", 0.5)])
    extra = [call("x", 0.75), call("x", 1), call("z", 0)]

    result, _ = run_case(evaluator, extra_scorers=extra)

    assert numbers(result) == {"x": 0.25, "y": 0.5, "x (2)": 0.75, "x (3)": 1.0, "z": 0.0}
    assert [score.name for score in result.scores.values()] == list(result.scores)


def test_an_extra_scorer_that_names_its_score_itself_does_not_hide_another() -> None:
    evaluator = Evaluator("e", echo, scores=[named("x", 0.25)])
    extra = [call("x", {"name": "x", "score": 0.5}), call("y", {"name": "x", "score": 0.75})]

    result, _ = run_case(evaluator, extra_scorers=extra)

    assert sorted(numbers(result).items()) == [("x", 0.25), ("x (2)", 0.5), ("x (3)", 0.75)]


@pytest.mark.parametrize("first", ["thief", "victim"])
def test_a_scorer_that_returns_anothers_name_does_not_get_it(first: str) -> None:
    scorers = [named("thief", Score("victim", 0.25)), named("victim", 0.75)]
    if first == "victim":
        scorers.reverse()

    result, _ = run_case(Evaluator("e", echo, scores=scorers))

    # Whichever runs first: a name means the same in every evaluator.
    assert numbers(result) == {"victim": 0.75, "victim (2)": 0.25}


def test_a_name_is_kept_for_its_scorer_also_in_cases_where_that_one_fails() -> None:
    scorers = [
        named("victim", lambda input: ValueError("no") if input == "bad" else 1),
        named("thief", Score("victim", 0.25)),
    ]

    events = events_of(Evaluator("e", echo, scores=scorers), inputs("good", "bad"))

    good, bad = results_of(events)
    assert numbers(good) == {"victim": 1.0, "victim (2)": 0.25}
    assert numbers(bad) == {"victim (2)": 0.25}


def test_scorers_that_return_the_same_foreign_name_are_numbered_in_their_order() -> None:
    scorers = [
        named("a", lambda input: ValueError("no") if input == "bad" else Score("quality", 1)),
        named("b", Score("quality", 0.25)),
    ]
    evaluator = Evaluator("e", echo, scores=scorers)

    for _ in range(2):
        bad, good = results_of(events_of(evaluator, inputs("bad", "good"), max_concurrency=2))
        # No case depends on another one, nor on which of them was scored first.
        assert numbers(good) == {"quality": 1.0, "quality (2)": 0.25}
        assert numbers(bad) == {"quality": 0.25}


def test_scores_of_one_name_in_one_list_are_all_kept() -> None:
    scorer = named("x", [0.1, Score("x", 0.2), {"score": 0.3}, Score("y", 0.4), Score("y", 0.5)])

    result, _ = run_case(Evaluator("e", echo, scores=[scorer]))

    assert numbers(result) == {"x": 0.1, "x (2)": 0.2, "x (3)": 0.3, "y": 0.4, "y (2)": 0.5}


def test_names_are_the_same_for_every_case() -> None:
    scorers = [
        named("a", [Score("b", 1), Score("c", 1)]),
        named("b", [Score("c", 1), Score("a", 1)]),
        named("c", None),
    ]
    evaluator = Evaluator("e", echo, scores=scorers)

    results = results_of(events_of(evaluator, inputs(*range(20)), max_concurrency=8))

    assert {tuple(sorted(result.scores)) for result in results} == {
        ("a (2)", "b (2)", "c", "c (2)", "c (3)")
    }


def test_labels_of_one_name_are_all_kept() -> None:
    classifiers = [
        named("topic", [Classification("a"), {"id": "b", "label": "B"}]),
        named("other", Classification("c", "topic")),
    ]

    result, _ = run_case(Evaluator("e", echo, classifiers=classifiers))

    assert result.classifications == {
        "topic": [{"id": "a"}, {"id": "b", "label": "B"}, {"id": "c"}]
    }


def test_a_scorer_and_a_classifier_of_one_name_do_not_hide_each_other() -> None:
    evaluator = Evaluator(
        "e", echo, scores=[named("x", 0.5)], classifiers=[named("x", {"id": "a"})]
    )

    result, _ = run_case(evaluator)

    assert (numbers(result), result.classifications) == ({"x": 0.5}, {"x": [{"id": "a"}]})


def test_a_scorer_and_a_classifier_of_one_name_that_both_fail_are_both_reported() -> None:
    evaluator = Evaluator(
        "e",
        echo,
        scores=[named("x", ValueError("the scorer's"))],
        classifiers=[named("x", ValueError("the classifier's"))],
    )

    result, _ = run_case(evaluator)

    messages = {error.message for error in result.scorer_errors.values()}
    assert messages == {"the scorer's", "the classifier's"}

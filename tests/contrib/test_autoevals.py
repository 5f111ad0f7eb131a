"""Scorers of ``autoevals`` work as they are: as classes, as objects, and by ``.partial(...)``.

Only those that ask no language model. What is right is what the scorer itself says when it is
called by hand, and, for names, what the SDK calls it.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from autoevals import (
    ExactMatch,
    JSONDiff,
    Levenshtein,
    ListContains,
    NumericDiff,
    Score,
    Scorer,
    ValidJSON,
)
from braintrust import framework

from flask_braintrust_evals import DuplicateEvaluatorError, Evaluator
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk

from .support import both_scores, echo, sdk_evaluator

SCHEMA = {"type": "object", "required": ["a"]}


def case(output: Any, expected: Any = None) -> dict[str, Any]:
    """A case whose output, by :func:`echo`, is what is given."""
    return {
        "input": output,
        "expected": expected,
        "metadata": {"source": "tests"},
        "tags": ["t"],
        "id": "id-1",
    }


TEXTS = [case("hello", "hello"), case("hello wrld", "hello world"), case("", "x"), case("", "")]
NUMBERS = [case(105, 100), case(0, 0), case(-1, 1), case(2.5, 2.5)]
OBJECTS = [
    case({"a": 1, "b": "x"}, {"a": 1, "b": "x"}),
    case({"a": 1, "b": ["x", None]}, '{"b": ["y"], "a": 2}'),
    case('{"a": 1}', {"a": 1}),
    case([], []),
]
JSON = [case('{"a": 1}'), case("{a: 1}"), case({"b": 1}), case("[1]"), case("5")]
LISTS = [case(["a", "b"], ["b", "a"]), case(["a", "x", "y"], ["a"]), case([], []), case([], ["a"])]

SCORERS: list[tuple[str, Any, list[Any]]] = [
    ("ExactMatch", ExactMatch, TEXTS + NUMBERS + OBJECTS),
    ("ExactMatch", ExactMatch(), TEXTS),
    ("ExactMatch", ExactMatch.partial(), TEXTS),
    ("Levenshtein", Levenshtein, TEXTS),
    ("Levenshtein", Levenshtein(), TEXTS),
    ("Levenshtein", Levenshtein.partial(expected="hello"), [case("hallo"), case("x", "x")]),
    ("Levenshtein", Levenshtein.partial(expected="hello")(), [case("hallo"), case("x", "x")]),
    ("NumericDiff", NumericDiff, NUMBERS),
    ("NumericDiff", NumericDiff.partial(expected=100), [case(105), case(105, 105)]),
    ("JSONDiff", JSONDiff, OBJECTS + TEXTS + NUMBERS),
    ("JSONDiff", JSONDiff(string_scorer=ExactMatch(), preserve_strings=True), OBJECTS),
    ("ValidJSON", ValidJSON, JSON),
    ("ValidJSON", ValidJSON(), JSON),
    ("ValidJSON", ValidJSON.partial(schema=SCHEMA), JSON),
    ("ListContains", ListContains, LISTS),
    ("ListContains", ListContains(allow_extra_entities=True), LISTS),
    ("ListContains", ListContains(pairwise_scorer=ExactMatch), LISTS),
]
IDS = [f"{name}-{number}" for number, (name, _, _) in enumerate(SCORERS)]


def by_hand(scorer: Any, cases: list[Any]) -> list[Score]:
    """What a scorer says where it is called as its documentation shows."""
    instance = scorer() if isinstance(scorer, type) else scorer
    return [instance.eval(each["input"], each["expected"]) for each in cases]


@pytest.mark.parametrize(("name", "scorer", "cases"), SCORERS, ids=IDS)
def test_scores_are_those_of_a_call_by_hand(name: str, scorer: Any, cases: list[Any]) -> None:
    result = Evaluator("e", echo, scores=[scorer]).run(cases)
    expected = by_hand(scorer, cases)
    assert [each.scorer_errors for each in result.results] == [{}] * len(cases)
    assert [each.scores[name].score for each in result.results] == [e.score for e in expected]
    assert [each.scores[name].metadata for each in result.results] == [
        each.metadata for each in expected
    ]
    mean = result.scores[name].mean
    assert mean == pytest.approx(sum(each.score for each in expected) / len(expected))
    # Plain numbers, whatever the scorer has counted with.
    assert {type(each.scores[name].score) for each in result.results} == {float}


def test_scores_differ_for_good_and_bad_outputs() -> None:
    # The scores that the tests above compare are not all the same.
    for name, scorer, cases in SCORERS:
        assert len({score.score for score in by_hand(scorer, cases)}) > 1, name


@pytest.mark.parametrize(("name", "scorer", "cases"), SCORERS, ids=IDS)
def test_names_are_those_of_the_sdk(name: str, scorer: Any, cases: list[Any]) -> None:
    instance = scorer() if isinstance(scorer, type) else scorer
    (call,) = Evaluator("e", echo, scores=[scorer]).plan.scorers
    name_of: Any = framework._scorer_name
    assert call.name == name_of(instance, 0) == name
    (adopted,) = from_sdk(sdk_evaluator(scores=[scorer])).plan.scorers
    assert adopted.name == name


# The SDK calls `eval_async`, which of ValidJSON takes `expected` for the schema: it cannot take a
# schema by partial() as well.
WITHOUT_SCHEMA = [
    each for each in SCORERS if SCHEMA not in getattr(each[1], "_partial_args", dict)().values()
]


@pytest.mark.parametrize(("name", "scorer", "cases"), WITHOUT_SCHEMA)
def test_an_evaluator_of_the_sdk_has_the_scores_that_it_has_there(
    name: str, scorer: Any, cases: list[Any]
) -> None:
    theirs, ours = both_scores(sdk_evaluator(data=cases, scores=[scorer]))
    assert ours == theirs
    assert [list(each) for each in ours] == [[name]] * len(cases)


def test_several_scorers_score_the_same_cases() -> None:
    scorers = [ExactMatch, Levenshtein(), JSONDiff.partial(), ValidJSON]
    result = Evaluator("e", echo, scores=scorers).run([case("hello", "hello"), case("ab", "ac")])
    assert {name: score.mean for name, score in result.scores.items()} == {
        "ExactMatch": 0.5,
        "Levenshtein": 0.75,
        "JSONDiff": 0.75,
        "ValidJSON": 0,
    }


@pytest.mark.parametrize(
    "scorers",
    [
        [Levenshtein.partial(expected="a"), Levenshtein.partial(expected="b")],
        [Levenshtein, Levenshtein.partial(expected="b")],
        [Levenshtein, Levenshtein()],
        [ValidJSON.partial(schema=SCHEMA)(), ValidJSON.partial(schema={})()],
    ],
)
def test_two_of_one_class_are_numbered_in_evaluators_of_the_sdk_only(scorers: list[Any]) -> None:
    with pytest.raises(DuplicateEvaluatorError, match="two scorers named '(Levensh|ValidJSON)"):
        Evaluator("e", echo, scores=scorers)
    first, second = (call.name for call in from_sdk(sdk_evaluator(scores=scorers)).plan.scorers)
    assert second == f"{first} (2)"


def test_two_of_one_class_both_give_their_score() -> None:
    scorers = [Levenshtein.partial(expected="a"), Levenshtein.partial(expected="b")]
    (result,) = from_sdk(sdk_evaluator(scores=scorers)).run([{"input": "a"}]).results
    values = {name: score.score for name, score in result.scores.items()}
    assert values == {"Levenshtein": 1, "Levenshtein (2)": 0}


def test_two_of_one_class_get_different_names_by_subclasses() -> None:
    class Strict(ValidJSON):  # type: ignore[misc]
        pass

    scorers = [ValidJSON, Strict.partial(schema=SCHEMA)]
    (result,) = Evaluator("e", echo, scores=scorers).run([case({"b": 1})]).results
    assert {name: score.score for name, score in result.scores.items()} == {
        "ValidJSON": 1,
        "Strict": 0,
    }


@pytest.mark.parametrize(
    ("scorer", "wrong", "error"),
    [
        (NumericDiff, case(5), "ValueError: NumericDiff requires an expected value"),
        (NumericDiff, case("five", 5), "TypeError: unsupported operand"),
        (Levenshtein(), case("a"), "ValueError: LevenshteinScorer requires an expected value"),
        (ListContains, case(["a"]), "ValueError: ListContains requires an expected value"),
        (ListContains, case(5, ["a"]), "TypeError: 'int' object is not iterable"),
        (ValidJSON.partial(schema={"type": "x"}), case({}), "SchemaError: 'x' is not valid"),
    ],
)
def test_one_that_raises_costs_only_its_own_score(scorer: Any, wrong: Any, error: str) -> None:
    def always(output: Any) -> float:
        return 1

    result = Evaluator("e", echo, scores=[scorer, always]).run([wrong, wrong])
    (call, _) = Evaluator("e", echo, scores=[scorer, always]).plan.scorers
    for each in result.results:
        assert each.error is None
        assert {name: score.score for name, score in each.scores.items()} == {"always": 1}
        assert list(each.scorer_errors) == [call.name]
        assert str(each.scorer_errors[call.name]).startswith(error)
    assert result.summary.scorer_errors == {call.name: 2}


def test_a_score_of_none_is_not_in_the_mean() -> None:
    class Sometimes(Scorer):  # type: ignore[misc]
        def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
            return Score(name=self._name(), score=1 if output == "a" else None)

    result = Evaluator("e", echo, scores=[Sometimes]).run([case("a"), case("b")])
    assert [each.scores["Sometimes"].score for each in result.results] == [1, None]
    assert (result.scores["Sometimes"].mean, result.scores["Sometimes"].count) == (1, 1)


def test_a_scorer_of_ones_own_is_given_what_autoevals_gives_it() -> None:
    seen: list[Any] = []

    class Own(Scorer):  # type: ignore[misc]
        def _name(self) -> str:
            return "own"

        def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
            seen.append((output, expected, kwargs["input"], kwargs["metadata"], kwargs["tags"]))
            return Score(name=self._name(), score=0.5, metadata={"why": "half"})

    (result,) = Evaluator("e", echo, scores=[Own()]).run([case("a", "b")]).results
    assert seen == [("a", "b", "a", {"source": "tests"}, ["t"])]
    assert (result.scores["own"].score, result.scores["own"].metadata) == (0.5, {"why": "half"})


def test_a_scorer_that_is_only_async_is_called_in_its_async_way() -> None:
    # As scorers that ask a service are written: the SDK has always preferred eval_async.
    class Later(Scorer):  # type: ignore[misc]
        async def _run_eval_async(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
            await asyncio.sleep(0)
            return Score(name=self._name(), score=0.5)

        def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
            raise NotImplementedError("only async")

    for scorer in (Later, Later()):
        (result,) = Evaluator("e", echo, scores=[scorer]).run([case("a", "b")]).results
        assert result.scorer_errors == {}
        assert result.scores["Later"].score == 0.5


def test_a_scorer_that_overrides_eval_async_is_called_by_it() -> None:
    class Entry(Scorer):  # type: ignore[misc]
        async def eval_async(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
            return Score(name=self._name(), score=0.5)

        def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
            raise NotImplementedError("only async")

    for scorer in (Entry, Entry()):
        (result,) = Evaluator("e", echo, scores=[scorer]).run([case("a", "b")]).results
        assert result.scorer_errors == {}
        assert result.scores["Entry"].score == 0.5


def test_scorers_called_by_a_function_of_ones_own_keep_their_scores() -> None:
    def close(output: Any, expected: Any) -> Score:
        return Levenshtein()(output, expected)

    async def close_later(output: Any, expected: Any) -> Score:
        return await Levenshtein().eval_async(output, expected)

    fixed = functools.partial(Levenshtein(), expected="hello")
    results = Evaluator("e", echo, scores=[close, close_later]).run([case("hallo", "hello")])
    # The names are those that the scores bring: the second of one name gets a number.
    (result,) = results.results
    assert {name: score.score for name, score in result.scores.items()} == {
        "Levenshtein": pytest.approx(0.8),
        "Levenshtein (2)": pytest.approx(0.8),
    }
    (result,) = Evaluator("e", echo, scores=[fixed]).run([case("hallo", "other")]).results
    assert [score.score for score in result.scores.values()] == [pytest.approx(0.8)]


def test_many_cases_at_once_are_scored_each_by_itself() -> None:
    cases = [case(str(number), str(number % 7)) for number in range(100)]
    evaluator = Evaluator("e", echo, scores=[Levenshtein, ExactMatch], max_concurrency=20)
    results = evaluator.run(cases).results
    assert [each.scores["ExactMatch"].score for each in results] == [
        float(number < 7) for number in range(100)
    ]
    assert [each.scores["Levenshtein"].score for each in results] == [
        score.score for score in by_hand(Levenshtein, cases)
    ]

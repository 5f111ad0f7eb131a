"""Scorers and classifiers of SDK evaluators are called and named as the SDK does."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import braintrust
import pytest
from braintrust import framework
from braintrust.score import Scorer as SdkScorer

from flask_braintrust_evals import Evaluator, RegistrationError
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from tests.engine.support import Spans, run_case

from .support import CASES, both_scores, echo, exact, run_by_sdk, run_by_us, sdk_evaluator


@pytest.fixture
def spans() -> Spans:
    return Spans()


# --- Scorers ---


async def exact_later(output: Any, expected: Any) -> float:
    await asyncio.sleep(0)
    return float(output == expected)


class Judge(SdkScorer):
    def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Any:
        return braintrust.Score(name=self._name(), score=float(output == expected))


class NamedJudge(Judge):
    def _name(self) -> str:
        return "named"


class AsyncJudge(SdkScorer):
    """As the guide to custom scorers has it, where only the async way makes sense."""

    async def _run_eval_async(self, output: Any, expected: Any = None, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return braintrust.Score(name=self._name(), score=float(output == expected))

    def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Any:
        raise NotImplementedError("only async")


class OnlyAsync:
    async def eval_async(self, output: Any, expected: Any = None, **kwargs: Any) -> float:
        return float(output == expected)


class OnlyAsyncOfOtherNames:
    async def eval_async(self, question: Any, truth: Any) -> float:
        return 1.0 if question == truth else 0.25


class CallableOfOtherNames:
    def __call__(self, question: Any, truth: Any) -> float:
        return 1.0 if question == truth else 0.25


class WithEvalOfOtherNames:
    """A scorer as a class for the SDK, because it has ``eval``."""

    def eval(self, question: Any, truth: Any) -> float:
        return 1.0 if question == truth else 0.25

    def __call__(self, question: Any, truth: Any) -> float:
        return self.eval(question, truth)


class Callable_:
    def __call__(self, output: Any, expected: Any) -> float:
        return float(output == expected)

    def method(self, output: Any, expected: Any) -> float:
        return float(output == expected)


def of_other_names_scorer(question: Any, truth: Any) -> float:
    return 1.0 if question == truth else 0.25


def with_any_others(question: Any, **others: Any) -> float:
    # The others are what is left: expected, metadata, output, trace, id and tags.
    return 1.0 if others["output"] == question and "expected" in others else 0.25


def with_everything(**given: Any) -> float:
    return float(given["output"] == given["expected"])


SCORERS: list[Any] = [
    exact,
    exact_later,
    Judge,
    Judge(),
    NamedJudge(),
    NamedJudge,
    AsyncJudge,
    AsyncJudge(),
    OnlyAsync,
    OnlyAsync(),
    OnlyAsyncOfOtherNames,
    OnlyAsyncOfOtherNames(),
    WithEvalOfOtherNames,
    WithEvalOfOtherNames(),
    CallableOfOtherNames(),
    Callable_(),
    Callable_().method,
    of_other_names_scorer,
    with_any_others,
    with_everything,
    lambda output, expected: output == expected,
    lambda question, truth: question == truth,
    braintrust.traced(exact),
]


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda s: getattr(s, "__name__", type(s).__name__))
def test_a_scorer_is_called_and_named_as_the_sdk_does(scorer: Any) -> None:
    theirs, ours = both_scores(sdk_evaluator(data=CASES, scores=[scorer]))
    assert ours == theirs
    assert all(value is not None for scores in ours for value in scores.values())


def test_a_scorer_may_pass_everything_on_that_the_sdk_gives_it() -> None:
    def inner(
        input: Any, expected: Any, metadata: Any, output: Any, trace: Any, id: Any, tags: Any
    ) -> float:
        return float(output == expected)

    def outer(**given: Any) -> float:
        return inner(**given)

    theirs, ours = both_scores(sdk_evaluator(data=CASES, scores=[outer]))
    assert ours == theirs == [{"outer": 1}, {"outer": 0}]


def test_a_partial_is_a_scorer() -> None:
    def share(output: Any, of: float) -> float:
        return of

    (result, _) = run_by_us(sdk_evaluator(data=CASES, scores=[functools.partial(share, of=0.9)]))
    assert result.scores["share"].score == 0.9


def test_lambdas_are_named_by_their_place() -> None:
    lambdas: list[Any] = [
        lambda output: 0.1,
        exact,
        lambda question, truth: 0.3,
        functools.partial(lambda output, of: of, of=0.4),
    ]
    evaluator = from_sdk(sdk_evaluator(scores=lambdas, classifiers=[lambda x: {"id": "i"}]))
    names = [call.name for call in evaluator.plan.scorers]
    assert names == ["scorer_0", "exact", "scorer_2", "scorer_3"]
    assert [call.name for call in evaluator.plan.classifiers] == ["classifier_0"]


def closure(value: float) -> Any:
    """A scorer of a factory: all have one name."""

    def at_least(output: Any) -> float:
        return value

    return at_least


async def by_threshold(output: Any, *, threshold: float) -> float:
    return threshold


class Limit:
    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, question: Any, truth: Any) -> float:
        return self.value


REPEATED: dict[str, list[Any]] = {
    "at_least": [closure(0.25), closure(0.5), closure(0.75)],
    "by_threshold": [
        functools.partial(by_threshold, threshold=value) for value in (0.25, 0.5, 0.75)
    ],
    "Limit": [Limit(0.25), Limit(0.5), Limit(0.75)],
    "exact": [lambda question, truth: 0.25, lambda question, truth: 0.5, lambda output: 0.75],
}
for scorer in REPEATED["exact"]:
    scorer.__name__ = "exact"


@pytest.mark.parametrize("name", REPEATED)
def test_scorers_of_one_name_are_numbered_and_none_hides_another(name: str) -> None:
    results = run_by_us(sdk_evaluator(data=CASES, scores=[*REPEATED[name], echo_scorer]))
    for result in results:
        values = {name: score.score for name, score in result.scores.items()}
        assert values == {name: 0.25, f"{name} (2)": 0.5, f"{name} (3)": 0.75, "echo_scorer": 1}


def echo_scorer(output: Any) -> float:
    return 1


def test_scorers_of_one_function_that_name_their_scores_have_the_sdks_results() -> None:
    def score(name: str, value: float) -> Any:
        def scorer(output: Any) -> Any:
            return framework.Score(name=name, score=value)

        return scorer

    theirs, ours = both_scores(
        sdk_evaluator(data=CASES, scores=[score("accuracy", 0.25), score("precision", 0.5)])
    )
    assert theirs == ours == [{"accuracy": 0.25, "precision": 0.5}] * 2


def test_classifiers_of_one_name_keep_all_labels_in_one_list_as_in_the_sdk() -> None:
    def classifier(label: str) -> Any:
        def topic(output: Any) -> Any:
            return {"id": label}

        return topic

    evaluator = sdk_evaluator(data=CASES[:1], classifiers=[classifier("a"), classifier("b")])
    (theirs,), (ours,) = run_by_sdk(evaluator), run_by_us(evaluator)
    labels = [each["id"] for each in theirs.classifications["topic"]]
    assert [each["id"] for each in ours.classifications["topic"]] == labels == ["a", "b"]
    assert list(ours.classifications) == list(theirs.classifications) == ["topic"]


def test_scorers_of_one_name_that_fail_are_reported_one_by_one() -> None:
    def failing(text: str) -> Any:
        def judge(output: Any) -> float:
            raise ValueError(text)

        return judge

    (result,) = run_by_us(sdk_evaluator(data=CASES[:1], scores=[failing("one"), failing("two")]))
    messages = {name: error.message for name, error in result.scorer_errors.items()}
    assert messages == {"judge": "one", "judge (2)": "two"}


def test_a_scorer_that_fails_is_reported_under_its_name_with_its_own_error() -> None:
    def wrong(question: Any, truth: Any) -> float:
        raise KeyError("of the scorer")

    results = run_by_us(sdk_evaluator(data=CASES, scores=[wrong, exact]))
    assert [str(each.scorer_errors["wrong"]) for each in results] == [
        "KeyError: 'of the scorer'"
    ] * 2
    assert [each.scores["exact"].score for each in results] == [1, 0]


def test_the_parameters_are_given_to_scorers_that_ask_for_them_by_name() -> None:
    def mood(question: Any, parameters: Any) -> float:
        return 1.0 if parameters["mood"] == "good" and question == "in" else 0.0

    evaluator = from_sdk(sdk_evaluator(scores=[mood], parameters={"mood": {"type": "string"}}))
    result, _ = run_case(evaluator, parameters={"mood": "good"})
    assert result.scores["mood"].score == 1


def test_what_scorers_return_as_objects_of_the_sdk_counts_as_with_the_sdk() -> None:
    def one(output: Any) -> Any:
        return braintrust.Score(name="renamed", score=0.5, metadata={"why": "half"})

    def several(output: Any) -> list[Any]:
        return [braintrust.Score(name="first", score=0.1), {"name": "second", "score": 0.2}]

    def skipped(output: Any) -> Any:
        return braintrust.Score(name="skipped", score=None)

    evaluator = sdk_evaluator(data=CASES, scores=[one, several, skipped])
    theirs, ours = both_scores(evaluator)
    expected = {"renamed": 0.5, "first": 0.1, "second": 0.2, "skipped": None}
    assert ours == theirs == [expected, expected]
    assert run_by_us(evaluator)[0].scores["renamed"].metadata == {"why": "half"}


def wrong(output: Any) -> float:
    raise ValueError


def test_the_score_handler_of_the_sdk_scores_what_failed() -> None:
    handler = framework.default_error_score_handler
    evaluator = sdk_evaluator(data=CASES, scores=[wrong, exact], error_score_handler=handler)
    theirs = [dict(each.scores) for each in run_by_sdk(evaluator)]
    ours = [{n: s.score for n, s in each.scores.items()} for each in run_by_us(evaluator)]
    assert ours == theirs == [{"wrong": 0, "exact": 1}, {"wrong": 0, "exact": 0}]


def test_the_score_handler_gets_a_case_of_the_sdk() -> None:
    cases = []

    def handler(span: Any, case: Any, names: list[str]) -> dict[str, float]:
        cases.append(case)
        return dict.fromkeys(names, 1 if case["input"] == "b" else 0)

    origin = {"object_type": "dataset", "object_id": "d", "id": "1", "_xact_id": "7"}
    data = [
        {"input": "a", "expected": "x", "metadata": {"m": 1}, "tags": ["t"], "id": "own"},
        {"input": "b", "origin": {**origin, "created": "2026-01-01T00:00:00Z"}},
    ]
    evaluator = sdk_evaluator(data=data, scores=[wrong], error_score_handler=handler)
    results = run_by_us(evaluator)
    assert [each.scores["wrong"].score for each in results] == [0, 1]
    assert all(isinstance(case, framework.EvalCase) for case in cases)
    first, second = sorted(cases, key=lambda case: str(case.input))
    assert first.as_dict()["metadata"] == {"m": 1}
    assert (first.expected, first.tags, first.id) == ("x", ["t"], "own")
    assert (second._xact_id, second.created) == ("7", "2026-01-01T00:00:00Z")


def test_spans_carry_the_names_of_the_sdk(spans: Spans) -> None:
    evaluator = from_sdk(
        sdk_evaluator(
            task=lambda question, context: question,
            scores=[Judge, lambda question, truth: 1, OnlyAsync()],
        )
    )
    run_case(evaluator, tracer=EvalTracer(spans.tracer))
    assert spans.tree() == {"eval": {"task": {}, "Judge": {}, "scorer_1": {}, "OnlyAsync": {}}}


def test_the_package_of_its_own_evaluators_has_no_such_fallback() -> None:
    # There an unknown name is a mistake, and an error at registration.
    with pytest.raises(RegistrationError, match="requires the argument 'question'"):
        Evaluator("e", echo, scores=[of_other_names_scorer])


# --- Classifiers ---


def by_instance(output: Any) -> Any:
    return braintrust.Classification(id="yes", name="decision", label="Yes", metadata={"p": 1})


def by_dict(output: Any, expected: Any) -> Any:
    return {"id": "same" if output == expected else "other"}


def by_list(output: Any) -> list[Any]:
    return [braintrust.Classification(id="one"), {"id": "two"}, {"id": "three", "name": "apart"}]


def by_nothing(output: Any) -> None:
    return None


def of_other_names_classifier(question: Any, truth: Any) -> dict[str, Any]:
    return {"id": f"{question}-{truth}"}


async def classified_later(output: Any) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"id": "later"}


class Classifier:
    def __call__(self, output: Any) -> dict[str, Any]:
        return {"id": "of an object"}


CLASSIFIERS: list[Any] = [
    by_instance,
    by_dict,
    by_list,
    by_nothing,
    of_other_names_classifier,
    classified_later,
    Classifier(),
    lambda output: {"id": "of a lambda"},
    lambda question, truth: {"id": f"{question}-{truth}"},
]


def labels(result: Any) -> Any:
    """The labels of a result, by the SDK or by us; absent fields and ``None`` are the same."""
    return {
        name: [{key: value for key, value in item.items() if value is not None} for item in items]
        for name, items in (result.classifications or {}).items()
    }


@pytest.mark.parametrize(
    "classifier", CLASSIFIERS, ids=lambda c: getattr(c, "__name__", type(c).__name__)
)
def test_a_classifier_is_called_and_named_as_the_sdk_does(classifier: Any) -> None:
    evaluator = sdk_evaluator(data=CASES, scores=[], classifiers=[exact_dict, classifier])
    theirs, ours = run_by_sdk(evaluator), run_by_us(evaluator)
    assert not [each.scorer_errors for each in ours if each.scorer_errors]
    assert [labels(each) for each in ours] == [labels(each) for each in theirs]


def exact_dict(output: Any) -> dict[str, Any]:
    return {"id": "beside it"}


def test_an_evaluator_may_have_classifiers_alone() -> None:
    results = run_by_us(sdk_evaluator(data=CASES, scores=None, classifiers=[by_dict]))
    assert [each.classifications["by_dict"] for each in results] == [
        [{"id": "same"}],
        [{"id": "other"}],
    ]

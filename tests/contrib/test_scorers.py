"""Scorers and classifiers of SDK evaluators are called and named as the SDK does."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import braintrust
import pytest
from braintrust import framework
from braintrust.score import Scorer as SdkScorer

from flask_braintrust_evals import DuplicateEvaluatorError, Evaluator, RegistrationError
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


def test_two_scorers_of_one_name_are_an_error_whatever_their_arguments() -> None:
    def other() -> Any:
        def exact(question: Any, truth: Any) -> float:
            return 1

        return exact

    with pytest.raises(DuplicateEvaluatorError, match="two scorers named 'exact'"):
        from_sdk(sdk_evaluator(scores=[exact, other()]))


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


def test_the_score_handler_of_the_sdk_scores_what_failed() -> None:
    def wrong(output: Any) -> float:
        raise ValueError

    handler = framework.default_error_score_handler
    evaluator = sdk_evaluator(data=CASES, scores=[wrong, exact], error_score_handler=handler)
    theirs = [dict(each.scores) for each in run_by_sdk(evaluator)]
    ours = [{n: s.score for n, s in each.scores.items()} for each in run_by_us(evaluator)]
    assert ours == theirs == [{"wrong": 0, "exact": 1}, {"wrong": 0, "exact": 0}]


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

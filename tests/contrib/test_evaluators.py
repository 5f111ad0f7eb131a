"""Evaluators of the ``braintrust`` SDK: they are taken over whole, and called as the SDK does.

Where the SDK can say what is right, it does: :func:`both_outputs` and :func:`both_scores` run the
same evaluator by the SDK itself and by us.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import braintrust
import pydantic
import pytest
from braintrust import framework
from braintrust.score import Scorer as SdkScorer
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_braintrust_evals import (
    DuplicateEvaluatorError,
    EvalsBlueprint,
    Evaluator,
    RegistrationError,
)
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk, is_sdk_evaluator
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.errors import DataError
from tests.engine.support import Spans, run_case
from tests.support import in_time
from tests.web.support import Api, without_settings

from .support import both_outputs, both_scores, echo, run_by_sdk, run_by_us, sdk_evaluator

CASES = [{"input": "a", "expected": "a"}, {"input": "b", "expected": "x"}]


@pytest.fixture
def bp() -> EvalsBlueprint:
    return EvalsBlueprint("evals", __name__)


@pytest.fixture
def spans() -> Spans:
    return Spans()


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def added(bp: EvalsBlueprint) -> Evaluator:
    """The only evaluator of a blueprint."""
    (evaluator,) = bp.registry
    return evaluator


def here() -> int:
    """The number of the line on which it is called."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


# --- What is taken over ---


def topic(output: Any) -> dict[str, Any]:
    return {"id": "any"}


def zero(span: Any, case: Any, names: list[str]) -> dict[str, float]:
    return {name: 0 for name in names}


def test_every_field_is_taken_over(bp: EvalsBlueprint) -> None:
    bp.add(
        sdk_evaluator(
            eval_name="named [experiment_name=e]",
            project_name="p",
            project_id="p-id",
            scores=[exact],
            classifiers=[topic],
            parameters={"mood": {"type": "string", "default": "good"}},
            data=CASES,
            experiment_name="e",
            metadata={"model": "m"},
            tags=["x", "y"],
            trial_count=3,
            max_concurrency=4,
            timeout=5.5,
            description="what it is for",
            error_score_handler=zero,
            base_experiment_name="before",
            base_experiment_id="before-id",
            is_public=True,
        )
    )
    ours = added(bp)
    assert ours.name == "named [experiment_name=e]"
    assert (ours.project, ours.project_id) == ("p", "p-id")
    assert ours.task is echo
    assert [call.name for call in ours.plan.scorers] == ["exact"]
    assert [call.name for call in ours.plan.classifiers] == ["topic"]
    assert dict(ours.parameter_set.validate({})) == {"mood": "good"}
    assert ours.data == CASES
    assert ours.experiment_name == "e"
    assert ours.metadata == {"model": "m"}
    assert ours.tags == ["x", "y"]
    assert (ours.trial_count, ours.max_concurrency, ours.timeout) == (3, 4, 5.5)
    assert ours.description == "what it is for"
    assert ours.error_score_handler is zero
    assert (ours.base_experiment_name, ours.base_experiment_id) == ("before", "before-id")
    assert ours.is_public is True


def test_no_field_of_the_sdks_evaluator_is_unknown_to_these_tests() -> None:
    # A new one of a later version must be taken over, or be named here as left aside.
    taken = {"eval_name", "project_name", "project_id", "task", "scores", "classifiers", "data"}
    taken |= {"parameters", "experiment_name", "metadata", "tags", "trial_count", "timeout"}
    taken |= {"max_concurrency", "description", "error_score_handler", "is_public"}
    taken |= {"base_experiment_name", "base_experiment_id"}
    aside = {"update", "repo_info", "git_metadata_settings", "summarize_scores", "cancel_event"}
    aside |= {"parameter_values"}  # what a run of the SDK's was given
    assert framework.Evaluator.__dataclass_fields__.keys() <= taken | aside


def test_what_an_evaluator_of_the_sdk_leaves_out_is_left_out(bp: EvalsBlueprint) -> None:
    bp.add(sdk_evaluator(scores=None))
    ours = added(bp)
    assert (ours.plan.scorers, ours.plan.classifiers) == ((), ())
    assert (ours.project_id, ours.experiment_name, ours.metadata) == (None, None, None)
    assert (ours.tags, ours.trial_count, ours.max_concurrency) == (None, 1, None)
    assert (ours.timeout, ours.description, ours.error_score_handler) == (None, None, None)
    assert (ours.base_experiment_name, ours.base_experiment_id) == (None, None)
    assert ours.is_public is False
    assert dict(ours.parameter_set.validate({})) == {}


def test_what_belongs_to_the_command_line_is_left_aside(bp: EvalsBlueprint) -> None:
    bp.add(
        sdk_evaluator(
            update=True,
            summarize_scores=False,
            repo_info=braintrust.RepoInfo(commit="c"),
            git_metadata_settings=braintrust.GitMetadataSettings(collect="none"),
            parameter_values={"mood": "bad"},
        )
    )
    assert added(bp).name == "the evaluator"


def test_the_metadata_may_be_a_model_of_pydantic(bp: EvalsBlueprint) -> None:
    class Model(pydantic.BaseModel):
        name: str
        path: Path

    bp.add(sdk_evaluator(metadata=Model(name="m", path=Path("/data"))))
    assert added(bp).metadata == {"name": "m", "path": "/data"}


def test_metadata_that_has_no_json_form_is_an_error_that_names_the_evaluator(
    bp: EvalsBlueprint,
) -> None:
    circular: dict[str, Any] = {}
    circular["itself"] = circular
    with pytest.raises(RegistrationError, match="'the evaluator'"):
        bp.add(sdk_evaluator(metadata=circular))


def test_changing_the_evaluator_afterwards_changes_nothing_here(bp: EvalsBlueprint) -> None:
    metadata: dict[str, Any] = {"a": 1}
    scores: list[Any] = [exact]
    evaluator = sdk_evaluator(metadata=metadata, scores=scores)
    bp.add(evaluator)
    metadata["b"] = 2
    scores.append(topic)
    evaluator.eval_name = "another"
    ours = added(bp)
    assert (ours.name, ours.metadata, len(ours.plan.scorers)) == ("the evaluator", {"a": 1}, 1)


def test_an_evaluator_of_a_class_below_the_sdks_is_one(bp: EvalsBlueprint) -> None:
    class Special(framework.Evaluator[Any, Any, Any]):
        pass

    plain = sdk_evaluator()
    bp.add(Special(**{name: getattr(plain, name) for name in plain.__dataclass_fields__}))
    assert added(bp).name == "the evaluator"
    assert is_sdk_evaluator(plain) and not is_sdk_evaluator(added(bp))


def test_evaluators_of_the_sdk_may_be_given_to_the_constructor() -> None:
    bp = EvalsBlueprint("evals", __name__, evaluators=[sdk_evaluator()])
    assert added(bp).name == "the evaluator"


@pytest.mark.parametrize(
    "wrong",
    [
        braintrust.Evaluator,
        framework.EvaluatorInstance(sdk_evaluator(), None),
        framework.EvalCase("x"),
        framework.Reporter("r", lambda *args: 1, lambda *args: True),
        braintrust.Score("s", 1),
        SimpleNamespace(eval_name="e", task=echo),
    ],
)
def test_nothing_else_of_the_sdks_may_be_added(bp: EvalsBlueprint, wrong: Any) -> None:
    with pytest.raises(RegistrationError) as caught:
        bp.add(wrong)
    assert str(caught.value) == (
        f"add() takes an Evaluator, not {wrong!r}; for a function, use @bp.evaluator()"
    )
    assert len(bp.registry) == 0


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"eval_name": ""}, "an evaluator's name must be a string"),
        ({"task": None}, "a task must be callable, not None"),
        ({"task": lambda: 1}, "takes no argument"),
        ({"scores": [5]}, "a scorer must be callable, not 5"),
        ({"classifiers": ["topic"]}, "a classifier must be callable, not 'topic'"),
        ({"scores": exact}, "scorers must be a list"),
        ({"classifiers": topic}, "classifiers must be a list"),
        ({"trial_count": 0}, "trial_count must be a whole number from 1, not 0"),
        ({"max_concurrency": -1}, "max_concurrency must be a whole number from 1, not -1"),
        ({"timeout": 0}, "timeout must be seconds above 0, not 0"),
        ({"error_score_handler": 5}, "error_score_handler must be a function, not 5"),
        ({"parameters": 5}, "parameters must be a mapping"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_the_place(
    bp: EvalsBlueprint, fields: dict[str, Any], text: str
) -> None:
    evaluator = sdk_evaluator(**fields)
    line = here() + 2
    with pytest.raises(RegistrationError) as caught:
        bp.add(evaluator)
    assert text in str(caught.value)
    assert f"{__file__}:{line}" in str(caught.value)
    assert len(bp.registry) == 0


def test_the_place_is_where_it_was_added(bp: EvalsBlueprint) -> None:
    line = here() + 1
    bp.add(sdk_evaluator())
    assert added(bp).location == f"{__file__}:{line}"


def test_another_evaluator_of_the_name_is_an_error_that_names_both_places(
    bp: EvalsBlueprint,
) -> None:
    bp.evaluator("the evaluator")(exact)
    line = here() + 2
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.add(sdk_evaluator())
    assert f"{__file__}:{exact.__code__.co_firstlineno}" in str(caught.value)
    assert f"{__file__}:{line}" in str(caught.value)


# --- Data ---


def from_a_function() -> list[Any]:
    return CASES


def from_a_generator() -> Iterator[Any]:
    yield from CASES


async def from_an_async_generator() -> AsyncIterator[Any]:
    for case in CASES:
        yield case


class FromAClass:
    def __iter__(self) -> Iterator[Any]:
        return iter(CASES)


class FromAMethod:
    def cases(self) -> list[Any]:
        return CASES


SOURCES: list[Any] = [
    CASES,
    tuple(CASES),
    from_a_function,
    from_a_generator,
    lambda: CASES,
    FromAClass,
    FromAClass(),
    FromAMethod().cases,
    from_an_async_generator,
]


@pytest.mark.parametrize(
    "source", SOURCES, ids=lambda each: getattr(each, "__name__", type(each).__name__)
)
def test_every_source_of_cases_that_the_sdk_can_read_can_be_read(source: Any) -> None:
    theirs, ours = both_outputs(sdk_evaluator(data=source))
    assert theirs == ours == ["a", "b"]


def test_a_source_that_can_be_read_once_is_read_once() -> None:
    assert [each.output for each in run_by_us(sdk_evaluator(data=iter(CASES)))] == ["a", "b"]


def test_cases_of_the_sdk_are_cases() -> None:
    cases: list[Any] = [
        framework.EvalCase("a", "A", {"m": 1}, ["t"], trial_count=2, id="id-1"),
        framework.EvalCase(input={"deep": [1]}),
        framework.EvalCase(None),
    ]
    results = run_by_us(sdk_evaluator(data=cases))
    assert [each.case.input for each in results] == ["a", "a", {"deep": [1]}, None]
    first, second, bare, _ = results
    assert (first.case.expected, first.metadata, first.tags) == ("A", {"m": 1}, ["t"])
    assert first.case.id == "id-1"
    assert (first.ref.trial_index, second.ref.trial_index) == (0, 1)
    assert (bare.case.expected, bare.metadata, bare.tags) == (None, {}, [])
    assert cases[0].metadata == {"m": 1}


def test_the_origin_of_a_case_of_the_sdk_is_kept() -> None:
    origin: Any = {"object_type": "dataset", "object_id": "d", "id": "r", "_xact_id": "1"}
    (result,) = run_by_us(sdk_evaluator(data=[framework.EvalCase("a", origin=origin)]))
    assert result.ref.origin == origin


@pytest.mark.parametrize(
    "data", [braintrust.BaseExperiment("before"), braintrust.BaseExperiment()], ids=repr
)
def test_the_cases_of_another_experiment_are_not_to_be_had(bp: EvalsBlueprint, data: Any) -> None:
    bp.add(sdk_evaluator(data=data))
    with pytest.raises(DataError) as caught:
        added(bp).run()
    assert "'the evaluator'" in str(caught.value)
    assert "BaseExperiment" in str(caught.value)
    assert "pass cases" in str(caught.value)
    # The run is what fails, not the evaluator: the Playground brings cases of its own.
    assert [each.output for each in added(bp).run(CASES).results] == ["a", "b"]


def test_base_experiment_as_a_class_is_told_of_as_an_object_of_it_is() -> None:
    with pytest.raises(DataError, match="pass cases"):
        from_sdk(sdk_evaluator(data=braintrust.BaseExperiment)).run()


def test_the_data_is_not_read_before_a_run(bp: EvalsBlueprint) -> None:
    def data() -> list[Any]:
        raise AssertionError("read too early")

    bp.add(sdk_evaluator(data=data))
    assert added(bp).run(CASES).summary.cases == 2


# --- Tasks ---


def one_argument(question: Any) -> Any:
    return f"{question}!"


def input_and_hooks(input: Any, hooks: Any) -> Any:
    return [input, hooks.expected, hooks.trial_index]


def of_other_names(question: Any, context: Any) -> Any:
    return [question, context.expected]


def with_a_default(question: Any, context: Any = None) -> Any:
    return [question, None if context is None else context.expected]


def with_parameters_second(input: Any, parameters: Any) -> Any:
    # By its name it might be the parameters; the SDK has only ever given hooks.
    return [input, parameters.expected]


def with_input_second(value: Any, input: Any) -> Any:
    return [value, input.expected]


def with_hooks_first(hooks: Any, input: Any) -> Any:
    return [hooks, input.expected]


def by_place_only(input: Any, hooks: Any, /) -> Any:
    return [input, hooks.expected]


def with_the_rest(input: Any, *rest: Any) -> Any:
    # Two parameters for the SDK, which counts them all.
    return [input, *(each.expected for each in rest)]


def by_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def by_wrapper_that_says_so(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


async def later(question: Any) -> Any:
    await asyncio.sleep(0)
    return f"{question}!"


async def later_with_hooks(question: Any, context: Any) -> Any:
    await asyncio.sleep(0)
    return [question, context.expected]


class Task:
    def __call__(self, question: Any, context: Any) -> Any:
        return [question, context.expected]

    def method(self, question: Any, context: Any) -> Any:
        return [question, context.expected]

    @staticmethod
    def static(question: Any, context: Any) -> Any:
        return [question, context.expected]

    @classmethod
    def of_class(cls, question: Any, context: Any) -> Any:
        return [cls.__name__, question, context.expected]


def of_three(prefix: Any, question: Any, context: Any) -> Any:
    return [prefix, question, context.expected]


TASKS: list[Any] = [
    one_argument,
    input_and_hooks,
    of_other_names,
    with_a_default,
    with_parameters_second,
    with_input_second,
    with_hooks_first,
    by_place_only,
    with_the_rest,
    by_wrapper(of_other_names),
    by_wrapper_that_says_so(of_other_names),
    by_wrapper_that_says_so(one_argument),
    later,
    later_with_hooks,
    lambda x: x * 2,
    lambda x, y: [x, y.expected],
    Task(),
    Task().method,
    Task.static,
    Task.of_class,
    functools.partial(of_three, "prefix"),
    functools.partial(one_argument),
    braintrust.traced(of_other_names),
    braintrust.traced(one_argument),
    str.upper,
    str,
    len,
]


@pytest.mark.parametrize("task", TASKS, ids=lambda t: getattr(t, "__name__", type(t).__name__))
def test_a_task_is_given_what_the_sdk_gives_it(task: Any) -> None:
    theirs, ours = both_outputs(sdk_evaluator(data=CASES, task=task))
    assert ours == theirs


def test_a_task_with_more_arguments_than_the_sdk_can_give_is_still_served_if_it_can_be() -> None:
    def task(input: Any, hooks: Any, temperature: float = 0.5) -> Any:
        return [input, hooks.expected, temperature]

    assert [each.output for each in run_by_us(sdk_evaluator(task=task, data=CASES))] == [
        ["a", "a", 0.5],
        ["b", "x", 0.5],
    ]


def test_a_task_with_arguments_that_nobody_gives_is_refused() -> None:
    def task(input: Any, hooks: Any, temperature: float) -> Any:
        return input

    with pytest.raises(RegistrationError, match="takes the argument 'temperature'"):
        from_sdk(sdk_evaluator(task=task))


def test_a_task_that_fails_is_a_failed_case_with_its_own_error() -> None:
    def task(question: Any, context: Any) -> Any:
        raise KeyError("of the task")

    (result,) = run_by_us(sdk_evaluator(task=task, data=CASES[:1]))
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("KeyError", "'of the task'")
    assert ", in task" in result.error.stack


def test_the_hooks_are_those_of_the_sdk() -> None:
    names = [name for name, _ in inspect.getmembers(framework.EvalHooks) if name[0] != "_"]

    def task(input: Any, hooks: Any) -> Any:
        missing = [name for name in names if not hasattr(hooks, name)]
        hooks.metadata["seen"] = True
        hooks.tags.append("seen")
        hooks.span.log(metrics={"tokens": 3})
        hooks.report_progress(
            {"format": "code", "output_type": "completion", "event": "text_delta", "data": "…"}
        )
        return {"missing": missing, "parameters": dict(hooks.parameters)}

    evaluator = from_sdk(sdk_evaluator(task=task, parameters={"mood": {"type": "string"}}))
    result, _ = run_case(evaluator, parameters={"mood": "good"})
    assert result.error is None
    assert result.output == {"missing": [], "parameters": {"mood": "good"}}
    assert (result.metadata, result.tags) == ({"seen": True}, ["seen"])


def test_meta_of_the_hooks_adds_to_the_metadata_and_warns_as_the_sdks_does() -> None:
    def task(input: Any, hooks: Any) -> None:
        hooks.meta(model="m", temperature=0)

    evaluator = sdk_evaluator(task=task, data=[framework.EvalCase("a", metadata={"a": 1})])
    with pytest.warns(DeprecationWarning, match=r"meta\(\) is deprecated"):
        (result,) = run_by_us(evaluator)
    assert result.error is None
    assert result.metadata == {"a": 1, "model": "m", "temperature": 0}
    assert evaluator.data[0].metadata == {"a": 1}


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


def test_a_scorer_that_fails_is_told_of_under_its_name_with_its_own_error() -> None:
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


# --- Arguments of names that the SDK does not know ---

GIVEN = ("input", "expected", "metadata", "output", "trace", "id", "tags")
"""What the SDK gives to scorers, in its order."""

SIGNATURES = [
    "output",
    "input, output, expected",
    "expected, output",
    "tags, id, trace, metadata",
    "question, truth",
    "a, b, c",
    "a, b, c, d, e, f, g",
    "output, truth",
    "question, output",
    "question, input",  # `input` is taken by then, and gets what comes next
    "question, output, input",
    "question, input=None",
    "question=5",
    "question=5, truth=6",
    "question, truth=6",
    "output, threshold=0.5, *, strict=True",
    "*, question",
    "*, question, output",
    "question, *, truth",
    "question, *places",
    "*places",
    "**others",
    "output, **others",
    "question, **others",
    "question, truth, **others",
    "question, output, **others",
    "question=5, **others",
    "a, b, c, d, e, f, g, **others",
    "*places, question, **others",
    "metadata, a, id, b, output, c",
    "expected, a, b=1, *, c, input=2, **others",
]


def scorer_of(signature: str) -> Callable[..., Any]:
    """A scorer of this signature that returns the arguments it was given."""
    scope: dict[str, Any] = {}
    exec(f"def scorer({signature}):\n    return dict(locals())", scope)
    scorer: Callable[..., Any] = scope["scorer"]
    return scorer


def as_the_sdk_calls(scorer: Callable[..., Any]) -> Any:
    arguments: Any = framework._call_user_fn_args
    positional, named = arguments(scorer, {name: name for name in GIVEN})
    return scorer(*positional, **named)


def as_we_call(scorer: Any) -> Any:
    (call,) = from_sdk(sdk_evaluator(scores=[scorer])).plan.scorers
    given = call({"parameters": "parameters", **{name: name for name in GIVEN}})
    # What takes everything also gets the parameters, which the SDK does not have for scorers.
    given.get("others", {}).pop("parameters", None)
    return given


@pytest.mark.parametrize("signature", SIGNATURES)
def test_arguments_get_what_the_sdk_gives_them(signature: str) -> None:
    scorer = scorer_of(signature)
    assert as_we_call(scorer) == as_the_sdk_calls(scorer)


@pytest.mark.parametrize("signature", ["question", "question, truth", "question, **others"])
@pytest.mark.parametrize("kind", ["bound method", "object", "class"])
def test_arguments_of_objects_get_what_the_sdk_gives_them(signature: str, kind: str) -> None:
    scorer = scorer_of(signature)
    scope: dict[str, Any] = {"scorer": scorer}
    names = "".join(f", {name}={name}" for name in ("question", "truth") if name in signature)
    rest = ", **others" if "others" in signature else ""
    body = f"return scorer({(names + rest)[2:]})"
    exec(
        f"class Judge:\n    def __call__(self, {signature}):\n        {body}\n"
        f"    def eval(self):\n        raise AssertionError",
        scope,
    )
    judge: Any = scope["Judge"]
    given = {"bound method": judge().__call__, "object": judge(), "class": judge}[kind]
    assert as_we_call(given) == as_the_sdk_calls(scorer)


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """Signatures of known and unknown names, in an order that Python takes."""
    names = draw(st.lists(st.sampled_from((*GIVEN, "a", "b", "c", "d")), unique=True, max_size=9))
    by_place = names[: draw(st.integers(0, len(names)))]
    by_name = names[len(by_place) :]
    without = draw(st.integers(0, len(by_place)))
    parts = by_place[:without] + [f"{name}='default'" for name in by_place[without:]]
    if by_name:
        parts.append(draw(st.sampled_from(("*", "*places"))))
        parts += [name + draw(st.sampled_from(("", "='default'"))) for name in by_name]
    return ", ".join(parts)


@pytest.mark.parametrize("rest", ["", "**others"])
@settings(deadline=None, max_examples=200, database=None)
@given(signature=signatures())
def test_any_arguments_get_what_the_sdk_gives_them(signature: str, rest: str) -> None:
    scorer = scorer_of(", ".join(filter(None, (signature, rest))))
    try:
        expected = as_the_sdk_calls(scorer)
    except TypeError:  # more than it has to give: told of at once here, in every case there
        with pytest.raises(RegistrationError):
            as_we_call(scorer)
    else:
        assert as_we_call(scorer) == expected


@pytest.mark.parametrize("signature", ["a, b, c, d, e, f, g, h", "a, /", "a, /, output"])
def test_arguments_that_even_the_sdk_cannot_give_are_an_error_at_registration(
    signature: str,
) -> None:
    scorer = scorer_of(signature)
    with pytest.raises(TypeError):
        as_the_sdk_calls(scorer)
    with pytest.raises(RegistrationError, match="takes the argument '[ah]', which nobody gives"):
        from_sdk(sdk_evaluator(scores=[scorer]))


def test_an_async_scorer_of_other_names_is_waited_for() -> None:
    async def scorer(question: Any, truth: Any) -> float:
        await asyncio.sleep(0)
        return 1.0 if question == truth else 0.25

    theirs, ours = both_scores(sdk_evaluator(data=CASES, scores=[scorer]))
    assert ours == theirs == [{"scorer": 1}, {"scorer": 0.25}]


def test_the_package_of_its_own_evaluators_has_no_such_fallback() -> None:
    # There a name that nobody knows is a mistake, and is told at once.
    with pytest.raises(RegistrationError, match="takes the argument 'question'"):
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


# --- Whole runs ---


def test_trials_concurrency_and_time_out_hold_in_a_run() -> None:
    peak, running = 0, 0

    async def task(input: Any, hooks: Any) -> int:
        nonlocal peak, running
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1
        return int(hooks.trial_index)

    evaluator = sdk_evaluator(task=task, data=CASES, trial_count=3, max_concurrency=1, timeout=60)
    results = in_time(lambda: run_by_us(evaluator))
    assert [each.output for each in results] == [0, 1, 2] * 2
    assert peak == 1


def test_an_evaluator_of_the_sdk_is_served_like_any_other(
    bp: EvalsBlueprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_settings(monkeypatch)
    bp.add(
        sdk_evaluator(
            task=lambda question, context: [question, context.parameters["mood"]],
            scores=[of_other_names_scorer],
            parameters={"mood": {"type": "string", "default": "good"}},
        )
    )
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.register_blueprint(bp, url_prefix="/evals")
    api = Api(app, token=None)
    listed = api.get("/list").get_json()["the evaluator"]
    assert [each["name"] for each in listed["scores"]] == ["of_other_names_scorer"]
    assert listed["parameters"]["schema"]["mood"]["default"] == "good"
    outputs = api.outputs(name="the evaluator", data=CASES)
    assert outputs == [["a", "good"], ["b", "good"]]

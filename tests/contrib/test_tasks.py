"""Tasks of SDK evaluators are called as the SDK calls them, with its hooks."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import braintrust
import pytest
from braintrust import framework

from flask_braintrust_evals import RegistrationError
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk
from tests.engine.support import run_case
from tests.support import in_time

from .support import CASES, both_outputs, run_by_us, sdk_evaluator

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


def test_a_task_with_unknown_arguments_is_refused() -> None:
    def task(input: Any, hooks: Any, temperature: float) -> Any:
        return input

    with pytest.raises(RegistrationError, match="requires the argument 'temperature'"):
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

"""Evaluators: what they are made of, and where."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import flask_braintrust_evals
from flask_braintrust_evals.engine.calls.introspection import calling_location, location_of
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import ParameterSet
from flask_braintrust_evals.errors import DuplicateEvaluatorError, RegistrationError

from .support import echo


def line() -> int:
    """The line this is called from."""
    return sys._getframe(1).f_lineno


def accuracy(output: Any) -> float:
    return 1.0


def test_an_evaluator_knows_the_line_it_was_made_in() -> None:
    made, here = Evaluator("e", echo), line()

    assert made.location == f"{__file__}:{here}"


def test_an_evaluator_made_by_a_function_is_where_that_function_makes_it() -> None:
    def factory() -> tuple[Evaluator, int]:
        return Evaluator("e", echo), line()

    made, there = factory()
    assert made.location == f"{__file__}:{there}"


def test_a_location_that_is_given_is_taken() -> None:
    assert Evaluator("e", echo, location="somewhere:1").location == "somewhere:1"


def made_in(file: str) -> Evaluator:
    namespace: dict[str, Any] = {"Evaluator": Evaluator, "echo": echo}
    exec(compile("\n\nmade = Evaluator('e', echo)", file, "exec"), namespace)
    evaluator = namespace["made"]
    assert isinstance(evaluator, Evaluator)
    return evaluator


@pytest.mark.parametrize(
    "neighbour",
    ["my_evals.py", "flask_braintrust_evals_demo/evals.py", "flask_braintrust_evals.py"],
)
def test_code_that_lies_beside_the_package_is_not_taken_for_the_package(neighbour: str) -> None:
    (package,) = flask_braintrust_evals.__path__
    file = str(Path(package).parent / neighbour)

    assert made_in(file).location == f"{file}:3"


def test_the_location_of_a_function_is_its_definition() -> None:
    code = accuracy.__code__

    assert location_of(accuracy) == f"{__file__}:{code.co_firstlineno}"


def test_the_location_of_what_is_no_function_is_where_it_is_asked_for() -> None:
    location, here = location_of(object()), line()

    assert location == f"{__file__}:{here}"
    asked, here = calling_location(), line()
    assert asked == f"{__file__}:{here}"


def test_an_evaluator_reads_its_parts_when_it_is_made() -> None:
    evaluator = Evaluator(
        "e", echo, scores=[accuracy], classifiers=[accuracy], parameters={"a": {"type": "string"}}
    )

    assert [call.name for call in evaluator.plan.scorers] == ["accuracy"]
    assert [call.name for call in evaluator.plan.classifiers] == ["accuracy"]
    assert isinstance(evaluator.parameter_set, ParameterSet)
    assert [parameter.name for parameter in evaluator.parameter_set] == ["a"]


def no_argument() -> None: ...


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            {"task": no_argument},
            "task 'no_argument' takes no argument; write it as task(input) or task(input, hooks)",
            id="task",
        ),
        pytest.param(
            {"task": lambda input, expected: input},
            "the second argument of the task is 'expected', which is also an argument of scorers,"
            " but tasks get their hooks there; write task(input, hooks), and read hooks.expected",
            id="task with an expectation",
        ),
        pytest.param(
            {"task": lambda input, output: input},
            "the second argument of the task is 'output', which is also an argument of scorers,"
            " but tasks get their hooks there; write task(input, hooks)",
            id="task with an output",
        ),
        *(
            pytest.param({name: "false"}, f"{name} must be True or False, not 'false'", id=name)
            for name in ("blocking", "distributed", "is_public")
        ),
        *(
            pytest.param({name: 5}, f"{name} must be a text, not 5", id=name)
            for name in (
                *("project", "project_id", "experiment_name", "description"),
                *("base_experiment_name", "base_experiment_id"),
            )
        ),
        *(
            pytest.param({"tags": tags}, f"tags must be a list of strings, not {tags!r}", id=each)
            for each, tags in {"a tag": "a", "numbers": [1], "an iterator": iter(["a"])}.items()
        ),
        *(
            pytest.param(
                {"data": file},
                "data must be an iterable of cases, or a function that returns one, not"
                f" {file!r}; to take cases from a file, return them from a function",
                id=f"data {file!r}",
            )
            for file in ("cases.csv", Path("cases.csv"))
        ),
        pytest.param({"scores": ["s"]}, "a scorer must be callable, not 's'", id="scorer"),
        pytest.param(
            {"classifiers": ["c"]}, "a classifier must be callable, not 'c'", id="classifier"
        ),
        pytest.param(
            {"parameters": {"a": 1}},
            "evaluator 'e', parameter 'a': must be a dict with a 'type', a pydantic model"
            " class, or None, not 1",
            id="parameters",
        ),
        *(
            pytest.param(
                {name: value},
                f"{name} must be a whole number from 1, not {value!r}",
                id=f"{name} {value!r}",
            )
            for name in ("trial_count", "max_concurrency")
            for value in (0, -1, 1.5, "3", True)
        ),
        pytest.param(
            {"trial_count": None},
            "trial_count must be a whole number from 1, not None",
            id="trials",
        ),
        *(
            pytest.param(
                {"timeout": value},
                f"timeout must be seconds above 0, not {value!r}",
                id=f"timeout {value!r}",
            )
            for value in (0, -1, "3", True, float("nan"))
        ),
    ],
)
def test_an_evaluator_that_makes_no_sense_is_refused_with_its_name_and_place(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(RegistrationError) as refused:
        Evaluator("e", **{"task": echo, "location": "evals.py:7", **arguments})

    assert str(refused.value) == f"{message} ('e' is defined at evals.py:7)"


@pytest.mark.parametrize("seconds", [float("inf"), 1e10], ids=["infinity", "centuries"])
def test_a_time_out_longer_than_the_system_can_wait_is_refused_or_never_comes(
    seconds: float,
) -> None:
    try:
        evaluator = Evaluator("e", echo, timeout=seconds)
    except RegistrationError:
        return
    assert [result.output for result in evaluator.run([{"input": 1}]).results] == [1]


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("value", [Unprintable(), b"a" * 100_000], ids=["unprintable", "long"])
@pytest.mark.parametrize(
    "option", ["name", "project", "timeout", "metadata", "error_score_handler"]
)
def test_any_value_of_an_option_can_be_refused(option: str, value: Any) -> None:
    arguments = {"name": "e", "task": echo, option: value}
    with pytest.raises(RegistrationError, match=f"{option} must be .*, not [<b]") as refused:
        Evaluator(**arguments)
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize("name", ["", "  ", None, 5], ids=repr)
def test_an_evaluator_needs_a_name(name: Any) -> None:
    with pytest.raises(RegistrationError) as refused:
        Evaluator(name, echo, location="evals.py:7")

    assert (
        str(refused.value)
        == f"an evaluator's name must be a text that is not empty, not {name!r} (evals.py:7)"
    )


def test_two_scorers_of_one_name_are_duplicates_and_reported_with_the_place() -> None:
    with pytest.raises(DuplicateEvaluatorError) as refused:
        Evaluator("e", echo, scores=[accuracy, accuracy], location="evals.py:7")

    assert str(refused.value) == (
        "evaluator 'e' has two scorers named 'accuracy', both at"
        f" {__file__}:{accuracy.__code__.co_firstlineno}; nobody could tell their"
        " results apart, so rename one of them ('e' is defined at evals.py:7)"
    )


def test_what_is_optional_is_by_keyword_only() -> None:
    with pytest.raises(TypeError):
        Evaluator("e", echo, [accuracy])  # type: ignore[call-arg]

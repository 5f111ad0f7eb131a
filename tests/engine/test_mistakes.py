"""Mistakes that would otherwise show as wrong scores are said."""

from __future__ import annotations

import copy
import inspect
import logging
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, EvalsBlueprint, Evaluator
from flask_braintrust_evals.errors import DataError, RegistrationError, RequestError
from flask_braintrust_evals.texts.suggestions import did_you_mean, is_misspelled

from .support import echo

PARAMETERS = {"number": {"type": "integer", "default": 1}}


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("expcted", "expected", True),
        ("exepcted", "expected", True),
        ("expectedd", "expected", True),
        ("expectad", "expected", True),
        ("Expected", "expected", True),
        ("trialCount", "trial_count", True),
        ("trial-count", "trial_count", True),
        ("expected", "expected", False),
        ("expected_output", "expected", False),
        ("target", "expected", False),
        ("expctd", "expected", False),
        ("ids", "id", False),
        ("tag", "tags", False),
        ("f1", "f2", False),
        ("", "id", False),
        ("xinput", "input", True),
        ("nipux", "input", False),
    ],
)
def test_a_name_is_misspelled_if_one_letter_of_it_is_wrong(
    name: str, known: str, expected: bool
) -> None:
    assert is_misspelled(name, known) is expected


def test_a_suggestion_is_a_similar_name_or_all_names() -> None:
    assert did_you_mean("gretter", ["greeter", "shout"]) == "did you mean 'greeter'?"
    assert did_you_mean("xyz", ["greeter", "shout"]) == "there are: 'greeter', 'shout'"
    assert did_you_mean("xyz", []) == "there are: none"
    assert did_you_mean("A", ["P_AB", "P_CD"], "P_") == "there are: 'P_P_AB', 'P_P_CD'"
    assert did_you_mean("x" * 1_000_000, ["y"]) == "there are: 'y'"


@pytest.mark.parametrize("by", ["run", "data", "a function"])
def test_a_misspelled_key_of_a_case_is_an_error_that_names_the_right_one(by: str) -> None:
    cases = [{"input": "a", "expcted": "a"}]
    data = {"run": None, "data": cases, "a function": lambda: cases}[by]
    evaluator = Evaluator("e", echo, scores=[exact], data=data)
    with pytest.raises(DataError, match="no key 'expcted'; did you mean 'expected'?"):
        evaluator.run(cases if by == "run" else None)


def test_other_unknown_keys_of_cases_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flask_braintrust_evals")
    result = Evaluator("e", echo).run([{"input": n, "created": "today", 7: 1} for n in range(5)])
    assert len(result.results) == 5
    (record,) = caplog.records
    assert "keys that are ignored: 'created', 7;" in record.getMessage()


def test_the_fields_of_rows_that_a_function_reads_from_braintrust_are_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "flask_braintrust_evals")
    row = {"id": "r", "_xact_id": "1", "created": "today", "span_id": "s", "input": "a"}
    result = Evaluator("e", echo, data=lambda: [row]).run()
    assert [each.output for each in result.results] == ["a"]
    assert caplog.records == []


def test_cases_without_an_expected_are_told_where_a_scorer_needs_one() -> None:
    def optional(output: Any, expected: Any = None) -> float:
        return 1.0

    note = "no case has an 'expected', which is an argument of 'exact'"
    result = Evaluator("e", echo, scores=[exact, optional]).run([{"input": 1}])
    assert result.notes == [note]
    assert note in str(result)
    some = Evaluator("e", echo, scores=[exact]).run([{"input": 1}, {"input": 2, "expected": 2}])
    assert some.notes == []
    assert Evaluator("e", echo, scores=[optional]).run([{"input": 1}]).notes == []


def test_an_unknown_parameter_of_a_run_is_an_error() -> None:
    evaluator = Evaluator("e", echo, parameters=PARAMETERS)
    with pytest.raises(RequestError, match="named 'nubmer'; did you mean 'number'?"):
        evaluator.run([{"input": 1}], {"nubmer": 2})
    with pytest.raises(RequestError, match="no parameter is named 'x'; there are: none"):
        Evaluator("e", echo).run([{"input": 1}], {"x": 2})


def test_values_of_parameters_that_have_no_names_are_an_error() -> None:
    wrong: Any = "number=2"
    with pytest.raises(RequestError) as refused:
        Evaluator("e", echo, parameters=PARAMETERS).run([{"input": 1}], wrong)
    assert str(refused.value) == "parameters must be a dict of values by name, not 'number=2'"


def test_a_parameter_that_is_not_there_is_an_error_of_the_task_that_names_those_that_are() -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        assert hooks.parameters.get("nubmer", 5) == 5
        return hooks.parameters["nubmer"]

    (case,) = Evaluator("e", task, parameters=PARAMETERS).run([{"input": 1}]).results
    assert str(case.error) == ("""KeyError: "no parameter 'nubmer'; this evaluator has: number\"""")


@pytest.mark.parametrize(
    "scope",
    [nullcontext(), ExitStack(), 5, lambda environ, start: 1],
    ids=["a context", "a stack", "a number", "an application"],
)
def test_a_scope_that_cannot_be_called_or_has_been_is_an_error(scope: Any) -> None:
    with pytest.raises(RegistrationError) as refused:
        Evaluator("e", echo).run([{"input": 1}], scope=scope)
    assert str(refused.value) == (
        "scope must be a function that returns a context manager, such as app.app_context"
        f" (without parentheses), not {scope!r}"
    )


def test_a_class_of_contexts_is_a_scope() -> None:
    (case,) = Evaluator("e", echo).run([{"input": 1}], scope=ExitStack).results
    assert case.error is None


def test_a_task_whose_hooks_have_the_name_of_a_parameter_is_refused() -> None:
    def task(input: Any, number: Any) -> Any:
        return input * number

    with pytest.raises(RegistrationError, match=r"hooks\.parameters\['number'\]"):
        Evaluator("e", task, parameters=PARAMETERS)
    assert Evaluator("e", task).task is task


def test_a_task_may_name_its_hooks_and_have_defaults_as_it_likes() -> None:
    def task(input: Any, hooks: Any, number: int = 2) -> Any:
        return hooks.parameters.number

    assert Evaluator("e", task, parameters=PARAMETERS).run([{"input": 1}]).results[0].output == 1


def test_scorers_for_scores_is_an_error_that_says_so() -> None:
    options: dict[str, Any] = {"scorers": [exact]}
    with pytest.raises(TypeError, match="no option 'scorers'; did you mean 'scores'?"):
        Evaluator("e", echo, **options)
    blueprint = EvalsBlueprint("evals", __name__)
    with pytest.raises(TypeError, match="no option 'scorers'; did you mean 'scores'?"):
        blueprint.evaluator("e", **options)(echo)
    with pytest.raises(TypeError, match="no option 'max_concurency'; did you mean 'max_conc"):
        Evaluator("e", echo, **{"max_concurency": 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError) as refused:
        Evaluator("e", echo, **{"score": [exact]})  # type: ignore[arg-type]
    assert str(refused.value) == "an evaluator has no option 'score'; did you mean 'scores'?"
    shown = list(inspect.signature(Evaluator).parameters)
    assert shown[:4] == ["name", "task", "scores", "classifiers"], "help() names the options"


def test_an_evaluator_can_still_be_copied() -> None:
    evaluator = Evaluator("e", echo, retries=3)
    assert copy.copy(evaluator).plan.retries == 3


def test_a_class_of_ones_own_may_have_further_options() -> None:
    @dataclass
    class Timed(Evaluator):
        seconds: float = 1.0

    assert Timed("e", echo, seconds=2.0).run([{"input": 1}]).results[0].output == 1

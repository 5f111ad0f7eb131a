"""``Evaluator.run``: an evaluator in this process, without Flask and without Braintrust."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import relpath
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError, EvalsError, RequestError, RunTimeoutError
from tests.engine.support import echo, inputs
from tests.support import PATIENCE, Counter, happens, in_time


def exact_match(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def test_results_are_in_the_order_of_the_data() -> None:
    rest_done = Counter()

    def task(input: int) -> int:
        if input == 0:
            assert rest_done.reaches(9)
        rest_done.add()
        return input

    result = in_time(lambda: Evaluator("e", task).run(inputs(*range(10)), max_concurrency=2))

    assert [each.output for each in result.results] == list(range(10))
    assert result.failures == []


def test_a_score_out_of_bounds_is_at_no_line_of_generated_code() -> None:
    result = Evaluator("e", echo, scores=[lambda output: 2]).run(inputs(1))
    (error,) = result.results[0].scorer_errors.values()
    assert "must be between 0 and 1" in error.message
    assert error.place == ""


def test_references_of_cases_can_be_keys() -> None:
    cases = [EvalCase("a", origin={"object_type": "dataset"}), EvalCase("b")]
    result = Evaluator("e", echo).run(cases, trial_count=2)
    by_case = {each.ref: each.output for each in result.results}
    assert list(by_case.values()) == ["a", "a", "b", "b"]
    assert by_case[result.results[3].ref] == "b"


def test_trials_are_in_order_too() -> None:
    result = Evaluator("e", echo).run(inputs("a", "b"), trial_count=3)

    assert [(r.output, r.ref.trial_index) for r in result.results] == [
        (output, trial) for output in "ab" for trial in range(3)
    ]


def test_a_result_has_the_means_of_its_scores() -> None:
    cases = [
        {"input": 1, "expected": 1},
        {"input": 2, "expected": 1},
        EvalCase(3, expected=3),
        {"input": 4, "expected": 4},
    ]

    result = Evaluator("e", echo, scores=[exact_match]).run(cases)

    assert result.evaluator == "e"
    assert (result.scores["exact_match"].mean, result.scores["exact_match"].count) == (0.75, 4)
    assert [r.scores["exact_match"].score for r in result.results] == [1, 0, 1, 1]
    assert result.summary.cases == 4


def test_cases_that_failed_are_listed() -> None:
    def task(input: Any) -> Any:
        return 1 / input

    result = Evaluator("e", task).run(inputs(1, 0, 2, 0))

    assert [failure.ref.index for failure in result.failures] == [1, 3]
    assert {str(failure.error) for failure in result.failures} == {
        "ZeroDivisionError: division by zero"
    }
    assert result.summary.failed == 2


def cases_function() -> list[dict[str, Any]]:
    return inputs(1, 2)


def cases_generator() -> Iterator[EvalCase]:
    yield EvalCase(1)
    yield EvalCase(2)


@pytest.mark.parametrize(
    "data",
    [inputs(1, 2), (EvalCase(1), EvalCase(2)), cases_function, cases_generator],
    ids=["list", "tuple", "function", "generator function"],
)
def test_an_evaluator_may_bring_its_own_data_and_use_it_again(data: Any) -> None:
    evaluator = Evaluator("e", echo, data=data)

    for _ in range(2):
        assert [result.output for result in evaluator.run().results] == [1, 2]


def test_cases_that_are_given_are_taken_over_the_evaluators_own() -> None:
    evaluator = Evaluator("e", echo, data=inputs(1))

    assert [result.output for result in evaluator.run(inputs(2)).results] == [2]
    assert evaluator.run([]).results == []


def test_a_run_needs_data() -> None:
    with pytest.raises(DataError) as refused:
        Evaluator("greeter", echo).run()

    assert str(refused.value) == (
        "evaluator 'greeter' has no data of its own; pass cases, or give it data="
    )


def failing_function() -> Any:
    raise OSError("gone")


def failing_generator() -> Iterator[Any]:
    yield {"input": 1}
    raise OSError("gone")


@pytest.mark.parametrize("data", [failing_function, failing_generator])
def test_data_that_fails_is_a_data_error(data: Any) -> None:
    with pytest.raises(DataError, match="OSError: gone"):
        Evaluator("e", echo, data=data).run()


def test_something_that_is_no_case_is_a_data_error() -> None:
    with pytest.raises(DataError) as refused:
        Evaluator("e", echo).run([{"input": 1}, {"question": 1}])

    assert str(refused.value) == (
        "case 2: a case needs an 'input', but this one has only: question"
    )


def test_parameters_are_given_over_their_defaults() -> None:
    evaluator = Evaluator(
        "e",
        lambda input, hooks: (hooks.parameters.a, hooks.parameters["b"]),
        parameters={"a": {"type": "string", "default": "x"}, "b": {"type": "integer"}},
    )

    assert evaluator.run(inputs(1), {"b": 1}).results[0].output == ("x", 1)
    assert evaluator.run(inputs(1), parameters={"a": "y", "b": 2}).results[0].output == ("y", 2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"a": "x"}, "parameter 'a': 'x' is not of type 'integer' (got string)"),
        (None, "parameter 'a' is required and has no default; expected integer"),
    ],
    ids=["wrong", "missing"],
)
def test_wrong_parameters_are_refused_before_any_case_runs(parameters: Any, message: str) -> None:
    ran: list[Any] = []
    evaluator = Evaluator("e", ran.append, parameters={"a": {"type": "integer"}})

    with pytest.raises(RequestError) as refused:
        evaluator.run(inputs(1), parameters)

    assert (str(refused.value), ran) == (message, [])


def test_scorers_are_given_the_parameters() -> None:
    seen = []

    def scorer(parameters: Any) -> None:
        seen.append(dict(parameters))

    Evaluator("e", echo, scores=[scorer], parameters={"a": {"type": "integer"}}).run(
        inputs(1), {"a": 5}
    )

    assert seen == [{"a": 5}]


@pytest.mark.parametrize("own", [2, 3], ids=["the evaluator's own", "the one given"])
def test_the_evaluators_concurrency_holds_where_none_is_given(own: int) -> None:
    running, barrier = Counter(), threading.Barrier(2)

    def task(input: Any) -> None:
        running.add()
        barrier.wait(PATIENCE)
        running.add(-1)

    evaluator = Evaluator("e", task, max_concurrency=own)
    in_time(lambda: evaluator.run(inputs(*range(8)), max_concurrency=None if own == 2 else 2))

    assert running.peak == 2


def test_the_evaluators_trials_hold_where_none_are_given() -> None:
    evaluator = Evaluator("e", echo, trial_count=2)

    assert len(evaluator.run(inputs(1)).results) == 2
    assert len(evaluator.run(inputs(1), trial_count=3).results) == 3


@pytest.mark.parametrize("given", [True, False], ids=["given", "the evaluator's own"])
def test_a_run_that_takes_too_long_raises(given: bool) -> None:
    def task(input: Any, hooks: Any) -> None:
        happens(hooks.cancel_event)

    evaluator = Evaluator("e", task, timeout=60 if given else 0.1)
    with pytest.raises(RunTimeoutError) as raised:
        in_time(lambda: evaluator.run(inputs(1), timeout=0.1 if given else None))

    assert str(raised.value) == (
        "the run's time-out of 0.1 seconds was reached; done by then: 0 cases"
    )


@pytest.mark.parametrize("name", ["max_concurrency", "trial_count", "timeout"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_number_that_makes_no_sense_is_refused(name: str, value: int) -> None:
    options: dict[str, Any] = {name: value}

    # As the same number is where an evaluator is made.
    with pytest.raises((ValueError, EvalsError), match=name):
        in_time(lambda: Evaluator("e", echo).run(inputs(1), **options), seconds=1)


@pytest.mark.slow
def test_a_run_that_raises_ends_its_tasks() -> None:
    cancelled = threading.Event()

    def task(input: Any, hooks: Any) -> None:
        happens(hooks.cancel_event)
        cancelled.set()

    with pytest.raises(RunTimeoutError):
        Evaluator("e", task).run(inputs(1), timeout=1)

    happens(cancelled)


def test_a_score_that_is_not_there_is_an_error_with_those_that_are() -> None:
    result = Evaluator("e", echo, scores=[exact_match]).run(inputs(1))

    with pytest.raises(KeyError, match="no case has a score named 'exact'; there .* 'exact_match'"):
        assert result.scores["exact"].mean
    assert result.scores.get("exact") is None
    with pytest.raises(KeyError, match="there are: none"):
        assert Evaluator("e", echo).run(inputs(1)).scores["exact"]


def test_a_result_as_text_lists_scores_and_failures() -> None:
    def task(input: int) -> int:
        if input:
            raise ValueError("too much")
        return input

    def skipped(output: Any) -> None:
        return None

    def broken(output: Any) -> float:
        raise RuntimeError("out of order")

    result = Evaluator("halves", task, scores=[exact_match, skipped, broken]).run(inputs(0, 1))

    text = re.sub(r"[0-9.e-]+ s over", "... s over", str(result))
    assert text.splitlines() == [
        "halves: 2 cases, 1 failed",
        "exact_match: 0.0000 over 1 case",
        "skipped: no score over 0 cases",
        "duration: ... s over 2 cases",
        "no case has a score for 'skipped'; 'broken' failed each time",
        "no case has an 'expected', which is an argument of 'exact_match'",
        "broken failed on 1 case, first with RuntimeError: out of order",
        f"  at {relpath(__file__)}:{broken.__code__.co_firstlineno + 1} in broken:"
        ' raise RuntimeError("out of order")',
        "case 2 failed: ValueError: too much",
        f"  at {relpath(__file__)}:{task.__code__.co_firstlineno + 2} in task:"
        ' raise ValueError("too much")',
    ]


def test_each_case_has_a_scope_of_its_own() -> None:
    inside = threading.local()
    entered = Counter()

    @contextmanager
    def scope() -> Iterator[None]:
        entered.add()
        inside.value = True
        yield
        inside.value = False

    def task(input: Any) -> Any:
        return inside.value

    result = Evaluator("e", task).run(inputs(0, 1, 2), scope=scope)

    assert [each.output for each in result.results] == [True, True, True]
    assert entered.reaches(3)

"""The evaluators of one blueprint."""

from __future__ import annotations

import threading

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.errors import (
    DuplicateEvaluatorError,
    NotFoundError,
    RegistrationClosedError,
)
from tests.support import PATIENCE

from .support import echo


def registry_of(*names: str) -> Registry:
    registry = Registry()
    for name in names:
        registry.add(Evaluator(name, echo, location=f"evals.py:{len(registry) + 1}"))
    return registry


def test_evaluators_are_found_by_name_and_kept_in_order() -> None:
    registry = registry_of("b", "a", "c")

    assert [evaluator.name for evaluator in registry] == ["b", "a", "c"]
    assert len(registry) == 3
    assert registry.get("a").name == "a"


def test_two_evaluators_of_one_name_are_refused_with_both_places() -> None:
    registry = registry_of("greeter")

    with pytest.raises(DuplicateEvaluatorError) as refused:
        registry.add(Evaluator("greeter", echo, location="more.py:9"))

    assert str(refused.value) == (
        "two evaluators are named 'greeter': one at evals.py:1, one at more.py:9; give one of them"
        " another name, such as 'greeter-2'"
    )
    assert [evaluator.location for evaluator in registry] == ["evals.py:1"]


def test_a_registry_that_is_closed_takes_no_more() -> None:
    registry = registry_of("a")
    registry.close()

    with pytest.raises(RegistrationClosedError) as refused:
        registry.add(Evaluator("late", echo, location="evals.py:9"))

    assert str(refused.value) == (
        "evaluator 'late' (evals.py:9) comes too late: the blueprint has served its first request,"
        " and other workers would not have it; add it where the application is set up"
    )
    assert (registry.get("a").name, len(registry)) == ("a", 1)


@pytest.mark.parametrize(
    ("names", "asked", "hint"),
    [
        pytest.param(["greeter", "x"], "greter", "did you mean 'greeter'?", id="near"),
        pytest.param(
            ["greeter-1", "greeter-2"],
            "greeter-3",
            "did you mean 'greeter-2' or 'greeter-1'?",
            id="two near",
        ),
        pytest.param(["b", "a"], "greeter", "there are: 'a', 'b'", id="none near"),
        pytest.param([], "greeter", "none are registered", id="none at all"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_those_that_are(
    names: list[str], asked: str, hint: str
) -> None:
    with pytest.raises(NotFoundError) as refused:
        registry_of(*names).get(asked)

    assert str(refused.value) == f"no evaluator is named {asked!r}; {hint}"
    assert refused.value.status == 404


def test_of_many_names_twenty_are_shown() -> None:
    with pytest.raises(NotFoundError) as refused:
        registry_of(*(f"{n:02}" for n in range(30))).get("greeter")

    shown = ", ".join(f"'{n:02}'" for n in range(20))
    assert str(refused.value) == f"no evaluator is named 'greeter'; there are: {shown}"


def test_a_name_that_is_too_long_is_shown_in_part() -> None:
    with pytest.raises(NotFoundError) as refused:
        registry_of().get("x" * 1_000_000)

    assert str(refused.value) == f"no evaluator is named '{'x' * 200}…'; none are registered"


def test_of_several_threads_that_add_one_name_one_succeeds() -> None:
    registry, barrier, refused = Registry(), threading.Barrier(8), []

    def add(number: int) -> None:
        evaluator = Evaluator("e", echo, location=f"evals.py:{number}")
        barrier.wait(PATIENCE)
        try:
            registry.add(evaluator)
        except DuplicateEvaluatorError as error:
            refused.append(error)

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (len(registry), len(refused)) == (1, 7)

"""The evaluators of one blueprint."""

from __future__ import annotations

import threading

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.engine.values.names import LongName
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


def long(name: str, experiment: str, *, is_stable: bool, line: int = 1) -> Evaluator:
    """An evaluator that has a long name, too."""
    prefix = f"{name} [experiment_name="
    long_name = LongName(f"{prefix}{experiment}]", prefix, is_stable)
    return Evaluator(name, echo, long_name=long_name, location=f"evals.py:{line}")


def test_two_of_one_long_name_are_refused_and_change_nothing() -> None:
    registry = Registry()
    registry.add(long("greeter", "x", is_stable=True))

    with pytest.raises(DuplicateEvaluatorError) as refused:
        registry.add(long("greeter", "x", is_stable=True, line=2))

    assert str(refused.value).startswith("two evaluators are named 'greeter [experiment_name=x]': ")
    assert [each.name for each in registry] == ["greeter"]


def test_one_with_a_long_name_uses_it_once_another_has_the_short_one() -> None:
    registry = Registry()
    registry.add(first := long("greeter", "x", is_stable=True))
    assert list(registry) == [first]
    registry.add(own := Evaluator("greeter", echo))
    registry.add(long("greeter", "123", is_stable=False))
    registry.add(long("other", "456", is_stable=False))

    names = ["greeter [experiment_name=x]", "greeter", "greeter (2)", "other"]
    assert [each.name for each in registry] == names
    assert [each.plan.name for each in registry] == names
    assert registry.get("greeter") is own
    assert first.name == "greeter"  # another blueprint may have it, too


def test_evaluators_are_found_by_their_long_name_also_by_that_of_another_process() -> None:
    registry = Registry()
    registry.add(long("greeter", "x", is_stable=True))
    registry.add(long("other", "123", is_stable=False))

    for name in ("greeter", "greeter [experiment_name=x]"):
        assert registry.get(name).name == "greeter"
    for name in ("other", "other [experiment_name=123]", "other [experiment_name=99]"):
        assert registry.get(name).name == "other"
    # What is written in a file is the same everywhere: this is another experiment.
    with pytest.raises(NotFoundError, match="there are: 'greeter', 'other'"):
        registry.get("greeter [experiment_name=y]")


def test_a_long_name_of_another_process_that_could_be_several_is_not_guessed() -> None:
    registry = Registry()
    registry.add(long("other", "123", is_stable=False))
    registry.add(long("other", "456", is_stable=False))

    assert [each.name for each in registry] == ["other", "other (2)"]
    assert registry.get("other [experiment_name=456]").name == "other (2)"
    with pytest.raises(NotFoundError):
        registry.get("other [experiment_name=99]")


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

    assert str(refused.value) == f"evaluator {asked!r} not found; {hint}"
    assert refused.value.status == 404


def test_of_many_names_twenty_are_shown() -> None:
    with pytest.raises(NotFoundError) as refused:
        registry_of(*(f"{n:02}" for n in range(30))).get("greeter")

    shown = ", ".join(f"'{n:02}'" for n in range(20))
    assert str(refused.value) == f"evaluator 'greeter' not found; there are: {shown}, …"


def test_a_name_that_is_too_long_is_shown_in_part() -> None:
    with pytest.raises(NotFoundError) as refused:
        registry_of().get("x" * 1_000_000)

    assert str(refused.value) == f"evaluator '{'x' * 200}…' not found; none are registered"


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

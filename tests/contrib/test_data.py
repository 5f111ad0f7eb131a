"""Cases of the ``braintrust`` SDK: from every source that it reads, in every form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import braintrust
import pytest
from braintrust import framework

from flask_braintrust_evals import EvalsBlueprint
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk
from flask_braintrust_evals.errors import DataError

from .support import CASES, added, both_outputs, run_by_us, sdk_evaluator


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
    assert "data could not be read" not in str(caught.value)
    assert "pass cases" in str(caught.value)
    # The run is what fails, not the evaluator: the Playground brings cases of its own.
    assert [each.output for each in added(bp).run(CASES).results] == ["a", "b"]


def test_base_experiment_as_a_class_is_refused_as_an_object_of_it_is() -> None:
    with pytest.raises(DataError, match="pass cases"):
        from_sdk(sdk_evaluator(data=braintrust.BaseExperiment)).run()


def test_the_data_is_not_read_before_a_run(bp: EvalsBlueprint) -> None:
    def data() -> list[Any]:
        raise AssertionError("read too early")

    bp.add(sdk_evaluator(data=data))
    assert added(bp).run(CASES).summary.cases == 2

"""The cases of an evaluator whose data can be read only once."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import DataError, RegistrationError
from tests.engine.support import echo, inputs
from tests.support import in_time


async def from_an_async_generator() -> AsyncIterator[Any]:
    for case in inputs(1, 2, 3):
        yield case


async def from_a_coroutine() -> Any:
    return iter(inputs(1, 2, 3))


class Indexed:
    """As a dataset of PyTorch: it has an index and no iterator."""

    def __getitem__(self, index: int) -> Any:
        return inputs(1, 2, 3)[index]


class CallableCases(list[Any]):
    def __call__(self) -> Any:
        raise AssertionError("it has the cases itself")


def failing() -> Iterator[Any]:
    yield {"input": 1}
    raise OSError("gone")


async def failing_later() -> AsyncIterator[Any]:
    yield {"input": 1}
    raise OSError("gone")


async def failing_coroutine() -> Any:
    raise OSError("gone")


def outputs(evaluator: Evaluator, *arguments: Any, **options: Any) -> list[Any]:
    return [result.output for result in evaluator.run(*arguments, **options).results]


ONCE: list[Callable[[], Any]] = [
    lambda: iter(inputs(1, 2, 3)),
    lambda: (case for case in inputs(1, 2, 3)),
    lambda: map(dict, inputs(1, 2, 3)),
    from_an_async_generator,
    from_a_coroutine,
]


@pytest.mark.parametrize("make", ONCE, ids=["iterator", "generator", "map", "async", "coroutine"])
def test_every_run_gets_all_cases_of_data_that_can_be_read_once(make: Any) -> None:
    evaluator = Evaluator("e", echo, data=make())
    for _ in range(3):
        assert outputs(evaluator) == [1, 2, 3]


@pytest.mark.parametrize("make", ONCE, ids=["iterator", "generator", "map", "async", "coroutine"])
def test_runs_at_the_same_time_get_all_cases_of_data_that_can_be_read_once(make: Any) -> None:
    all_started = threading.Barrier(4)

    def task(input: int) -> int:
        if input == 1:
            all_started.wait(10)
        return input

    evaluator = Evaluator("e", task, data=make())
    results: list[Any] = [None] * 4

    def run(index: int) -> None:
        results[index] = outputs(evaluator, max_concurrency=1)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [[1, 2, 3]] * 4


def test_a_run_that_ended_early_takes_no_case_from_the_next_one() -> None:
    def data() -> Iterator[Any]:
        yield from inputs(1, 2, 3)

    evaluator = Evaluator("e", echo, data=data())
    first = iter(evaluator.data)
    assert next(first) == {"input": 1}
    first.close()
    assert outputs(evaluator) == [1, 2, 3]


@pytest.mark.parametrize("make", [failing, failing_later], ids=["generator", "async generator"])
def test_data_that_failed_once_fails_every_run_after_the_same_cases(make: Any) -> None:
    evaluator = Evaluator("e", echo, data=make())
    for _ in range(3):
        with pytest.raises(DataError) as failed:
            evaluator.run(max_concurrency=1)
        assert str(failed.value) == "the data could not be read after 1 case: OSError: gone"


def test_a_coroutine_that_failed_once_fails_every_run() -> None:
    evaluator = Evaluator("e", echo, data=failing_coroutine())
    for _ in range(2):
        with pytest.raises(DataError, match="OSError: gone"):
            evaluator.run()


@pytest.mark.parametrize("make", ONCE, ids=["iterator", "generator", "map", "async", "coroutine"])
def test_cases_that_are_passed_to_run_may_be(make: Any) -> None:
    assert outputs(Evaluator("e", echo), make()) == [1, 2, 3]
    assert outputs(Evaluator("e", echo), make) == [1, 2, 3]


@pytest.mark.parametrize("data", [Indexed(), CallableCases(inputs(1, 2, 3))], ids=["index", "call"])
def test_data_may_be_an_object_that_gives_cases_in_its_own_way(data: Any) -> None:
    assert outputs(Evaluator("e", echo, data=data)) == [1, 2, 3]
    assert outputs(Evaluator("e", echo), data) == [1, 2, 3]


class DataFrame:
    """As pandas and polars have it."""

    columns = ("input", "expected")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def to_dict(self) -> dict[str, Any]:
        return {}


class Unreadable:
    def __iter__(self) -> Iterator[Any]:
        raise OSError("gone")


NO_CASES = "data must be an iterable of cases"


@pytest.mark.parametrize("data", [5, "cases.csv", {"input": 1}], ids=["number", "text", "one case"])
def test_what_gives_no_cases_is_an_error_where_it_is_passed(data: Any) -> None:
    with pytest.raises(DataError, match=f"^evaluator 'e': {NO_CASES}, not {data!r}$"):
        Evaluator("e", echo).run(data)
    with pytest.raises(DataError, match=f"^evaluator 'e': {NO_CASES}, not {data!r}$"):
        Evaluator("e", echo, data=lambda: data).run()
    with pytest.raises(RegistrationError, match=f"^{NO_CASES}, or a function .*, not {data!r}[ ;]"):
        Evaluator("e", echo, data=data)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        (DataFrame(), r"evaluator 'e': data must be .* a DataFrame .*; pass its rows, such as .*"),
        (lambda: DataFrame(), r"evaluator 'e': data must be .* a DataFrame gives the names of .*"),
        (lambda: 1 / 0, "evaluator 'e': data could not be read: ZeroDivisionError: .*"),
        (failing_coroutine, "evaluator 'e': data could not be read: OSError: gone"),
        (Unreadable(), "the data could not be read after 0 cases: OSError: gone"),
    ],
    ids=["frame", "made frame", "function", "coroutine", "iterable"],
)
@pytest.mark.parametrize("own", [True, False], ids=["data", "cases"])
def test_what_are_no_cases_is_a_data_error(cases: Any, message: str, own: bool) -> None:
    evaluator = Evaluator("e", echo, data=cases if own else None)
    with pytest.raises(DataError, match=f"^{message}$"):
        evaluator.run(None if own else cases)


def test_a_run_from_within_its_own_data_is_an_error_and_no_deadlock() -> None:
    def data() -> Iterator[Any]:
        list(evaluator.data)
        yield {"input": 1}

    evaluator = Evaluator("e", echo, data=data())
    with pytest.raises(DataError, match="generator already executing"):
        in_time(evaluator.run)

"""Cases that are made while they are read."""

from __future__ import annotations

import contextlib
import contextvars
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import DataError
from tests.engine.support import echo
from tests.support import eventually

inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)


class Scope:
    def __init__(self) -> None:
        self.exits: list[BaseException | None] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        token = inside.set(True)
        try:
            yield
        except BaseException as error:
            self.exits.append(error)
            raise
        else:
            self.exits.append(None)
        finally:
            inside.reset(token)


def generator() -> Iterator[Any]:
    for _ in range(3):
        yield {"input": inside.get()}


async def async_generator() -> AsyncIterator[Any]:
    for _ in range(3):
        yield {"input": inside.get()}


class Rows:
    """Can be iterated over, as a query can."""

    def __iter__(self) -> Iterator[Any]:
        return generator()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(generator, id="a generator function"),
        pytest.param(async_generator, id="an async one"),
        pytest.param(lambda: ({"input": inside.get()} for _ in range(3)), id="an expression"),
        pytest.param(Rows, id="a class"),
        pytest.param(Rows(), id="an object"),
        pytest.param(lambda: [{"input": inside.get()}] * 3, id="a function"),
    ],
)
def test_data_is_read_inside_the_scope_which_ends_with_it(data: Any) -> None:
    scope = Scope()
    result = Evaluator("e", echo, data=data).run(scope=scope)
    assert [each.output for each in result.results] == [True] * 3
    assert scope.exits == [None] * 4


def test_a_scope_is_told_why_data_cannot_be_read() -> None:
    scope = Scope()

    def data() -> Iterator[Any]:
        yield {"input": 1}
        raise LookupError("no table")

    with pytest.raises(DataError, match="no table"):
        Evaluator("e", echo, data=data).run(scope=scope)
    assert {str(error) for error in scope.exits} == {"None", "no table"}


def test_data_of_a_run_that_ends_before_it_is_read_is_closed_inside_the_scope() -> None:
    scope, closed = Scope(), list[bool]()

    def data() -> Iterator[Any]:
        try:
            while True:
                yield {"input": 1}
        finally:
            closed.append(inside.get())

    with pytest.raises(Exception, match="time-out"):
        Evaluator("e", echo, data=data).run(timeout=0.2, scope=scope)
    eventually(lambda: closed == [True])


def test_a_generator_enters_what_belongs_to_one_thread_and_one_context() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    threads: set[int] = set()

    def data() -> Iterator[Any]:
        token = variable.set(1)
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            for (number,) in connection.execute("values (1), (2), (3)"):
                threads.add(threading.get_ident())
                yield {"input": number + variable.get()}
        variable.reset(token)

    result = Evaluator("e", echo, data=data).run(max_concurrency=3)
    assert [each.output for each in result.results] == [2, 3, 4]
    assert len(threads) == 1
    eventually(lambda: "eval-data" not in {thread.name for thread in threading.enumerate()})

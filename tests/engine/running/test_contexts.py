"""Context variables: what a case sees of the world around it."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from tests.engine.support import events_of, inputs, results_of

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def look(input: Any) -> str:
    return variable.get()


async def look_async(input: Any) -> str:
    return variable.get()


@pytest.fixture
def callers_context() -> Iterator[None]:
    """The context of a request that asks for a run."""
    token = variable.set("the caller's")
    yield
    variable.reset(token)


@pytest.mark.parametrize("task", [look, look_async])
@pytest.mark.usefixtures("callers_context")
def test_a_task_sees_nothing_of_its_callers_context(task: Any) -> None:
    assert [result.output for result in Evaluator("e", task).run(inputs(1)).results] == ["unset"]


@pytest.mark.usefixtures("callers_context")
def test_a_scorer_sees_nothing_of_its_callers_context() -> None:
    seen = []

    def scorer() -> None:
        seen.append(variable.get())

    async def async_scorer() -> None:
        seen.append(variable.get())

    Evaluator("e", look, scores=[scorer, async_scorer]).run(inputs(1))

    assert seen == ["unset", "unset"]


@pytest.mark.usefixtures("callers_context")
def test_the_source_is_read_in_its_callers_context() -> None:
    def cases() -> Iterator[Any]:
        yield {"input": variable.get()}

    for data in (cases(), cases):
        (result,) = Evaluator("e", lambda input: input).run(data).results
        assert result.output == "the caller's"


@pytest.mark.usefixtures("callers_context")
def test_nothing_of_a_case_is_seen_by_the_caller() -> None:
    Evaluator("e", lambda input: variable.set("the case's").var.name).run(inputs(1))

    assert variable.get() == "the caller's"


def test_what_a_task_sets_is_seen_by_its_scorers() -> None:
    seen = []

    def task(input: Any) -> None:
        variable.set("the task's")

    def scorer() -> None:
        seen.append(variable.get())

    async def async_scorer() -> None:
        seen.append(variable.get())

    Evaluator("e", task, scores=[scorer, async_scorer]).run(inputs(1))

    assert seen == ["the task's", "the task's"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_one_case_sets_is_not_seen_by_the_next(is_async: bool) -> None:
    def task(input: Any) -> str:
        before = variable.get()
        variable.set(input)
        return before

    async def async_task(input: Any) -> str:
        return task(input)

    # One worker, so that the cases share what a worker has.
    results = Evaluator("e", async_task if is_async else task).run(
        inputs("a", "b"), max_concurrency=1
    )

    assert [result.output for result in results.results] == ["unset", "unset"]


@pytest.mark.parametrize("task", [look, look_async])
def test_what_the_scope_sets_is_seen_in_its_case_alone(task: Any) -> None:
    # Flask's application context is such a variable.
    values = iter(["first", "second"])

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        token = variable.set(next(values))
        yield
        variable.reset(token)

    async def scorer(output: str) -> bool:
        return variable.get() == output

    events = events_of(
        Evaluator("e", task, scores=[scorer]),
        inputs(1, 2),
        max_concurrency=1,
        runner={"scope": scope},
    )

    assert [result.output for result in results_of(events)] == ["first", "second"]
    assert [result.scores["scorer"].score for result in results_of(events)] == [1, 1]

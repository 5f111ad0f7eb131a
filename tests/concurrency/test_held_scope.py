"""A scope that is exited by whoever leaves it last."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.held_scope import HeldScope, holding, scope_around
from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.loops.event_loop import background_loop


class Noted:
    def __init__(self) -> None:
        self.states: list[str] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.states.append("open")
        try:
            yield
        finally:
            self.states.append("exited")


def refuse() -> str:
    return "refused"


def test_the_last_of_several_exits_it() -> None:
    noted = Noted()
    scope = HeldScope(noted())
    assert scope.hold() and scope.hold()
    scope.leave()
    scope.release()
    assert noted.states == ["open"]
    scope.release()
    assert noted.states == ["open", "exited"]
    assert not scope.hold()


def test_one_that_cannot_be_entered_raises_that_and_leaves_nothing() -> None:
    class Failing(contextlib.ExitStack):
        def __enter__(self) -> Failing:
            raise LookupError

    with pytest.raises(LookupError):
        HeldScope(Failing())
    assert scope_around() is None


def test_outside_of_scopes_nothing_is_held() -> None:
    assert holding(refuse, str) is refuse


def test_a_function_holds_the_scope_of_the_code_that_made_it() -> None:
    noted = Noted()
    scope = HeldScope(noted())
    began, may_end, seen = threading.Event(), threading.Event(), list[list[str]]()

    def work() -> None:
        began.set()
        assert may_end.wait(10)
        seen.append([*noted.states])

    held = scope.run(holding, work, lambda: None)
    thread = threading.Thread(target=held)
    thread.start()
    assert began.wait(10)
    scope.leave()
    may_end.set()
    thread.join()
    assert seen == [["open"]]
    assert noted.states == ["open", "exited"]


def test_a_function_that_comes_too_late_is_not_called() -> None:
    scope = HeldScope(Noted()())
    held = scope.run(holding, lambda: "called", refuse)
    scope.leave()
    assert held() == "refused"


def test_a_coroutine_that_comes_too_late_is_not_awaited() -> None:
    scope = HeldScope(Noted()())
    blocked, goes_on, awaited = threading.Event(), threading.Event(), list[int]()

    async def block() -> None:
        blocked.set()
        goes_on.wait(10)

    async def late() -> None:
        awaited.append(1)

    first, second = Job[None](), Job[None]()
    background_loop().start(block(), Cancellation(), first)
    assert blocked.wait(10)
    scope.run(background_loop().start, late(), Cancellation(), second)
    scope.leave()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        second.wait()
    assert awaited == []


def test_a_scope_is_told_of_the_error_by_whoever_exits_it() -> None:
    told: list[str] = []

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            told.append(str(error))
            raise

    held = HeldScope(scope())
    assert held.hold()
    held.leave(ValueError("half done"))
    assert told == []
    held.release()
    assert told == ["half done"]

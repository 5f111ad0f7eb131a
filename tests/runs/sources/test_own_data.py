"""Functions that make an evaluator's own cases: called before the run, or by its first worker."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.running.sources.case_source import CasesToMake
from flask_braintrust_evals.engine.running.sources.own_cases import make_cases
from flask_braintrust_evals.errors import DataError, RunError, RunTimeoutError
from flask_braintrust_evals.runs.sources.case_data import CaseData
from flask_braintrust_evals.runs.sources.own_data import (
    CHECK_INTERVAL,
    Make,
    made_before_the_run,
    made_by_the_run,
    read_by_the_run,
)
from tests.support import eventually, happens, in_time


def maker(data: Any) -> Make:
    return lambda cancellation: CaseData(make_cases(data, "e", cancellation), "the-dataset")


def before(data: Any, timeout: float | None = None, end_reason: Any = lambda: None) -> CaseData:
    make = partial(made_before_the_run, maker(data), contextlib.nullcontext, "e")
    return in_time(lambda: make(timeout, end_reason))


def read(data: CaseData, cancellation: Cancellation | None = None) -> list[Any]:
    cases = data.cases
    if isinstance(cases, CasesToMake):
        cases = cases.make(cancellation or Cancellation())
    return list(cases)


def generator() -> Iterator[Any]:
    yield {"input": 1}


def test_data_that_is_made_before_the_run_is_all_there() -> None:
    for data in (lambda: [{"input": 1}], generator):
        made = before(data)
        assert read(made) == [{"input": 1}]
        assert made.dataset_id == "the-dataset"


def test_what_making_data_raises_is_raised() -> None:
    with pytest.raises(DataError, match="data could not be read: ZeroDivisionError"):
        before(lambda: 1 / 0)


@pytest.mark.parametrize("how", ["time-out", "client"])
def test_nobody_waits_for_data_in_vain(how: str, caplog: pytest.LogCaptureFixture) -> None:
    let_go = threading.Event()
    try:
        if how == "time-out":
            with pytest.raises(RunTimeoutError, match="before its data was made"):
                before(lambda: happens(let_go), timeout=0.05)
        else:
            with pytest.raises(RunError, match="the client disconnected"):
                before(
                    lambda: happens(let_go),
                    end_reason=lambda: RunError("the client disconnected before the data was made"),
                )
        assert "evaluator 'e': the making of its data goes on" in caplog.text
    finally:
        let_go.set()


def test_async_data_that_nobody_waits_for_is_cancelled() -> None:
    cancelled = threading.Event()

    async def data() -> Any:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(RunTimeoutError):
        before(data, timeout=0.1)
    happens(cancelled)


def test_reading_data_that_was_made_before_is_cancelled_with_the_run() -> None:
    async def data() -> AsyncIterator[Any]:
        yield {"input": 1}
        await asyncio.sleep(600)

    cancellation = Cancellation()
    cases = before(data).cases
    assert isinstance(cases, CasesToMake)
    iterator = iter(cases.make(cancellation))
    assert next(iterator) == {"input": 1}
    threading.Timer(0.05, cancellation.set).start()
    with pytest.raises(asyncio.CancelledError):
        in_time(lambda: next(iterator))


def test_the_runs_worker_makes_data_inside_the_scope() -> None:
    entered: list[str] = []

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    def data() -> Any:
        entered.append("made")
        return [{"input": 1}]

    made = made_by_the_run(maker(data), scope)
    assert entered == []
    assert read(made) == [{"input": 1}]
    assert entered == ["in", "made", "out"]


class Scope:
    def __init__(self) -> None:
        self.log: list[str] = []

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.log.append("in")
        try:
            yield
        finally:
            self.log.append("out")


@pytest.mark.parametrize("how", ["before", "by the run", "read"])
def test_a_generator_is_read_inside_the_scope(how: str) -> None:
    scope = Scope()

    def data() -> Iterator[Any]:
        scope.log.append("read")
        yield {"input": 1}

    if how == "before":
        made = made_before_the_run(maker(data), scope, "e", None, lambda: None)
    elif how == "by the run":
        made = made_by_the_run(maker(data), scope)
    else:
        made = read_by_the_run(CaseData(data()), scope)
    assert "read" not in scope.log
    assert read(made) == [{"input": 1}]
    assert scope.log == ["in", "read", "out"]


def test_what_was_made_before_a_run_that_never_is_is_closed() -> None:
    scope = Scope()
    made = made_before_the_run(maker(generator), scope, "e", None, lambda: None)
    assert scope.log == ["in"]
    made.close()
    assert scope.log == ["in", "out"]


@pytest.mark.parametrize("end", [RunError("the client disconnected"), KeyboardInterrupt()])
def test_what_is_made_when_nobody_waits_any_more_is_closed(end: BaseException) -> None:
    scope, let_go = Scope(), threading.Event()

    def end_reason() -> None:
        raise end

    def data() -> Any:
        happens(let_go)
        return generator()

    with pytest.raises(type(end)):
        made_before_the_run(maker(data), scope, "e", None, end_reason)
    let_go.set()
    eventually(lambda: scope.log == ["in", "out"])


def test_what_is_made_while_the_wait_for_it_ends_is_closed() -> None:
    scope, is_made = Scope(), threading.Event()

    def end_reason() -> RunError:
        happens(is_made)
        eventually(lambda: scope.log == ["in"])
        return RunError("the client disconnected")

    def data() -> Any:
        is_made.set()
        return generator()

    def slowly(cancellation: Cancellation) -> CaseData:
        threading.Event().wait(CHECK_INTERVAL * 2)  # until the end of the wait is asked for
        return maker(data)(cancellation)

    with pytest.raises(RunError):
        made_before_the_run(slowly, scope, "e", None, end_reason)
    eventually(lambda: scope.log == ["in", "out"])

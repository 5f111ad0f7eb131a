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
from flask_braintrust_evals.engine.running.case_source import CasesToMake
from flask_braintrust_evals.engine.running.own_cases import make_cases
from flask_braintrust_evals.errors import DataError, RunError, RunTimeoutError
from flask_braintrust_evals.runs.case_data import CaseData
from flask_braintrust_evals.runs.own_data import Make, made_before_the_run, made_by_the_run
from tests.support import happens, in_time


def maker(data: Any) -> Make:
    return lambda cancellation: CaseData(make_cases(data, "e", cancellation), "the-dataset")


def before(data: Any, timeout: float | None = None, has_left: Any = lambda: False) -> CaseData:
    make = partial(made_before_the_run, maker(data), contextlib.nullcontext, "e")
    return in_time(lambda: make(timeout, has_left))


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
                before(lambda: happens(let_go), has_left=lambda: True)
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

"""Tasks that are called again after they have failed."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.running.cases import retries
from flask_braintrust_evals.engine.running.cases.retries import pause_after
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.errors import RegistrationError
from tests.engine.support import Spans, attribute, run_case
from tests.support import in_time


class Flaky:
    """A task that fails a number of times before it succeeds."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.left = failures
        self.error = error or OSError("not now")
        self.calls = 0

    def __call__(self, input: Any, hooks: EvalHooks) -> Any:
        self.calls += 1
        hooks.metadata["attempt"] = hooks.metadata.get("attempt", 0) + 1
        hooks.tags.append("tried")
        hooks.parameters["list"].append(1)
        input.append(1)
        if self.left:
            self.left -= 1
            raise self.error
        return [len(input), hooks.metadata["attempt"], hooks.tags, hooks.parameters["list"]]


class AsksToWait(Exception):
    """An error as those of clients of HTTP."""

    def __init__(self, status: int | None = None, **headers: Any) -> None:
        self.response = SimpleNamespace(
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            **({} if status is None else {"status_code": status}),
        )


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)


def evaluator(task: Any, **options: Any) -> Evaluator:
    return Evaluator("e", task, parameters={"list": {"type": "array", "default": []}}, **options)


def test_a_task_that_fails_is_called_again_with_the_case_as_it_was() -> None:
    task = Flaky(2)
    result = evaluator(task, retries=2).run([{"input": [], "tags": ["own"]}])
    assert result.results[0].output == [1, 1, ["own", "tried"], [1]]
    assert result.results[0].metadata == {"attempt": 1}
    assert result.results[0].metrics["retries"] == 2
    assert result.metrics["retries"].total == 2
    assert (task.calls, result.summary.failed) == (3, 0)


def test_so_is_the_metadata_beside_what_cannot_be_copied() -> None:
    def task(input: Any, hooks: EvalHooks) -> int:
        hooks.metadata["list"].append(1)
        if hooks.metadata["calls"].acquire(blocking=False):
            raise OSError("not now")
        return len(hooks.metadata["list"])

    calls = threading.Lock()
    result = evaluator(task, retries=1).run(
        [{"input": 0, "metadata": {"calls": calls, "list": []}}]
    )
    assert result.results[0].output == 1


def test_the_last_failure_is_that_of_the_case() -> None:
    task = Flaky(5)
    result = evaluator(task, retries=2).run([{"input": []}])
    assert str(result.results[0].error) == "OSError: not now"
    assert (task.calls, result.results[0].metrics["retries"]) == (3, 2)


def test_without_retries_a_task_is_called_once() -> None:
    task = Flaky(1)
    result = evaluator(task).run([{"input": []}])
    assert (task.calls, result.summary.failed) == (1, 1)
    assert "retries" not in result.results[0].metrics


def test_a_run_may_have_its_own_number() -> None:
    task = Flaky(1)
    assert not evaluator(task).run([{"input": []}], retries=1).summary.failed
    task = Flaky(1)
    assert evaluator(task, retries=5).run([{"input": []}], retries=0).summary.failed == 1


def test_coroutines_are_called_again_too() -> None:
    failures = iter([OSError("once")])

    async def task(input: Any) -> Any:
        for error in failures:
            raise error
        return input

    assert Evaluator("e", task, retries=1).run([{"input": 7}]).results[0].output == 7


def test_the_span_of_the_task_counts_them() -> None:
    spans = Spans()
    run_case(Evaluator("e", failing_once(), retries=1), tracer=EvalTracer(spans.tracer))
    assert attribute(spans.one("task"), "metrics") == {"retries": 1}
    assert spans.one("task").status.status_code.name == "UNSET"


def failing_once() -> Any:
    failures = iter([OSError("once")])

    def task(input: Any) -> Any:
        for error in failures:
            raise error
        return input

    return task


def test_the_duration_is_that_of_the_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "pause_after", lambda error, failures: 0.2)
    result = Evaluator("e", failing_once(), retries=1).run([{"input": 1}]).results[0]
    assert result.metrics["duration"] < 0.2 <= result.duration


def test_a_time_out_is_not_tried_again() -> None:
    calls = []

    def task(input: Any, hooks: EvalHooks) -> None:
        calls.append(1)
        hooks.cancel_event.wait(30)

    result = Evaluator("e", task, retries=3, task_timeout=0.05).run([{"input": 1}])
    assert (len(calls), str(result.results[0].error)[:12]) == (1, "TimeoutError")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_is_not_tried_again(error: type[BaseException]) -> None:
    calls = []

    def task(input: Any) -> None:
        calls.append(1)
        raise error

    Evaluator("e", task, retries=3).run([{"input": 1}])
    assert len(calls) == 1


def test_a_pause_ends_when_the_run_is_cancelled() -> None:
    cancellation = Cancellation()
    failed = threading.Event()

    class Busy(Exception):
        retry_after = 200

    def task(input: Any) -> None:
        failed.set()
        raise Busy

    def cancel() -> None:
        failed.wait(10)
        cancellation.set()

    threading.Thread(target=cancel).start()
    began = time.monotonic()
    result, _ = in_time(
        lambda: run_case(Evaluator("e", task, retries=3), cancellation=cancellation)
    )
    assert time.monotonic() - began < 10
    assert result.interrupted
    assert str(result.error) == "RunError: the run was cancelled before the task was called again"


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (AsksToWait(retry_after="7"), 7.0),
        (AsksToWait(Retry_After="7"), 7.0),
        (AsksToWait(429, Retry_After="0"), 0.0),
        (AsksToWait(Retry_After="-5"), 0.0),
        (AsksToWait(retry_after_ms="250"), 0.25),
        (AsksToWait(retry_after="3000"), None),
        (AsksToWait(400), None),
        (AsksToWait(404, Retry_After="1"), None),
        (AsksToWait(503, Retry_After="1"), 1.0),
    ],
)
def test_an_error_says_how_long_to_wait_or_that_it_is_of_no_use(
    error: Exception, pause: float | None
) -> None:
    assert pause_after(error, 0) == pause


def test_a_date_is_a_time_to_wait_too() -> None:
    later = datetime.now(timezone.utc) + timedelta(seconds=60)
    pause = pause_after(AsksToWait(Retry_After=format_datetime(later, usegmt=True)), 0)
    assert pause is not None and 55 < pause <= 60


@pytest.mark.parametrize("asked", ["soon", "nan", b"x", True, object()])
def test_what_is_no_time_is_not_one(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.5)
    for failures, longest in ((0, 0.5), (1, 1.0), (50, 30.0)):
        pause = pause_after(AsksToWait(Retry_After=asked), failures)
        assert pause is not None and longest / 2 <= pause <= longest


def test_an_error_whose_own_code_fails_is_tried_again() -> None:
    class Hostile(Exception):
        @property
        def response(self) -> Any:
            raise RuntimeError

    assert pause_after(Hostile(), 0) is not None


@pytest.mark.parametrize("number", [-1, True, 1.5, "2", 101])
def test_a_wrong_number_is_refused(number: Any) -> None:
    with pytest.raises(RegistrationError, match="retries must be a whole number from 0 to 100"):
        Evaluator("e", str, retries=number)
    with pytest.raises(RegistrationError, match="retries must be a whole number from 0 to 100"):
        Evaluator("e", str).run([{"input": 1}], retries=number)

"""No failure of user code goes further than its own case."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.hooks import EvalHooks
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    RunFinished,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError
from flask_braintrust_evals.engine.values.scores import Score
from tests.engine.support import (
    Spans,
    attribute,
    echo,
    events_of,
    inputs,
    kinds,
    results_of,
    run_case,
)


def recurse() -> Any:
    return recurse()


def throw(error: BaseException) -> Any:
    raise error


FAILURES: list[Any] = [
    pytest.param(lambda: throw(ValueError("no")), "ValueError: no", id="ValueError"),
    pytest.param(lambda: throw(ValueError()), "ValueError", id="without a message"),
    pytest.param(lambda: throw(KeyError("k")), "KeyError: 'k'", id="KeyError"),
    pytest.param(lambda: throw(SystemExit(3)), "SystemExit: 3", id="SystemExit"),
    pytest.param(lambda: throw(KeyboardInterrupt()), "KeyboardInterrupt", id="KeyboardInterrupt"),
    pytest.param(lambda: throw(GeneratorExit()), "GeneratorExit", id="GeneratorExit"),
    pytest.param(lambda: throw(StopIteration(1)), "StopIteration: 1", id="StopIteration"),
    pytest.param(
        lambda: throw(StopAsyncIteration()), "StopAsyncIteration", id="StopAsyncIteration"
    ),
    pytest.param(lambda: throw(MemoryError()), "MemoryError", id="MemoryError"),
    pytest.param(lambda: throw(asyncio.CancelledError()), "CancelledError", id="CancelledError"),
    pytest.param(recurse, "RecursionError: maximum recursion depth exceeded", id="RecursionError"),
    pytest.param(lambda: throw(ValueError("x\ud800")), "ValueError: x\ufffd", id="lone surrogate"),
    pytest.param(lambda: throw(ValueError("a\nb")), "ValueError: a\nb", id="lines"),
]


def only_for_bad(fail: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda input: fail() if input == "bad" else input


@pytest.mark.parametrize(("fail", "error"), FAILURES)
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_a_failing_task_is_its_cases_error_alone(
    fail: Callable[[], Any], error: str, recorded: bool, spans: Spans
) -> None:
    evaluator = Evaluator("e", only_for_bad(fail), scores=[lambda output: 1])
    tracing = EvalTracer(spans.tracer) if recorded else None

    # One worker, so that the one that met the failure has to go on.
    events = events_of(
        evaluator, inputs("a", "bad", "b"), max_concurrency=1, runner={"tracer": tracing}
    )

    a, bad, b = results_of(events)
    assert (a.output, a.error, b.output, b.error) == ("a", None, "b", None)
    assert str(bad.error).startswith(error)
    assert (bad.output, bad.output_json, bad.scores) == (None, None, {})
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert (last.summary.cases, last.summary.failed) == (3, 1)


# SystemExit and KeyboardInterrupt, which might end the loop of this process, are in test_async.py;
# Python makes a RuntimeError of a coroutine's StopIteration.
IN_COROUTINES = [
    case for case in FAILURES if case.id not in ("SystemExit", "KeyboardInterrupt", "StopIteration")
]


@pytest.mark.parametrize(("fail", "error"), IN_COROUTINES)
def test_a_failing_async_task_is_its_cases_error_alone(fail: Callable[[], Any], error: str) -> None:
    async def task(input: Any) -> Any:
        await asyncio.sleep(0)
        return only_for_bad(fail)(input)

    events = events_of(Evaluator("e", task), inputs("a", "bad", "b"), max_concurrency=1)

    a, bad, b = results_of(events)
    assert (a.output, b.output) == ("a", "b")
    assert str(bad.error).startswith(error)
    assert isinstance(events[-1], RunFinished)


@pytest.mark.parametrize(("fail", "error"), FAILURES)
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_a_failing_scorer_does_not_change_the_other_scores(
    fail: Callable[[], Any], error: str, recorded: bool, spans: Spans
) -> None:
    def failing(output: Any) -> Any:
        return fail()

    def before(output: Any) -> float:
        return 0.25

    def after(output: Any) -> float:
        return 0.75

    evaluator = Evaluator("e", echo, scores=[before, failing, after], classifiers=[topic])
    tracing = EvalTracer(spans.tracer) if recorded else None
    result, events = run_case(evaluator, tracer=tracing)

    assert result.error is None
    assert result.scores == {"before": Score("before", 0.25), "after": Score("after", 0.75)}
    assert result.classifications == {"topic": [{"id": "t"}]}
    assert list(result.scorer_errors) == ["failing"]
    assert str(result.scorer_errors["failing"]).startswith(error)
    assert kinds(events) == ["CaseStarted", "TaskFinished", "CaseFinished"]


def topic(output: Any) -> Any:
    return {"id": "t"}


@pytest.mark.parametrize(("fail", "error"), IN_COROUTINES)
def test_a_failing_async_scorer_does_not_change_the_other_scores(
    fail: Callable[[], Any], error: str
) -> None:
    async def failing(output: Any) -> Any:
        return fail()

    async def after(output: Any) -> float:
        return 0.75

    result, _ = run_case(Evaluator("e", echo, scores=[failing, after]))

    assert (result.error, result.scores) == (None, {"after": Score("after", 0.75)})
    assert str(result.scorer_errors["failing"]).startswith(error)


@pytest.mark.parametrize(("fail", "error"), FAILURES)
def test_a_failing_classifier_does_not_change_the_others(
    fail: Callable[[], Any], error: str
) -> None:
    def failing(output: Any) -> Any:
        return fail()

    result, _ = run_case(Evaluator("e", echo, classifiers=[failing, topic]))

    assert (result.error, result.classifications) == (None, {"topic": [{"id": "t"}]})
    assert str(result.scorer_errors["failing"]).startswith(error)


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ("high", "TypeError: a scorer must return a number"),
        (2, "ValueError: score (2.0) must be between 0 and 1"),
        ({"scores": 1}, "TypeError: a score given as a dict needs the key 'score'"),
    ],
    ids=["text", "out of range", "dict without score"],
)
def test_a_scorer_that_returns_no_score_is_an_error_of_that_scorer_alone(
    returned: Any, error: str
) -> None:
    def wrong(output: Any) -> Any:
        return returned

    def right(output: Any) -> Any:
        return 1

    result, _ = run_case(Evaluator("e", echo, scores=[wrong, right]))

    assert (result.error, list(result.scores)) == (None, ["right"])
    assert str(result.scorer_errors["wrong"]).startswith(error)


def test_a_task_that_failed_is_not_scored() -> None:
    called = []

    def scorer(output: Any) -> None:
        called.append(output)

    evaluator = Evaluator(
        "e", lambda input: throw(ValueError()), scores=[scorer], classifiers=[scorer]
    )
    result, events = run_case(evaluator)

    assert (called, result.scores, result.classifications, result.scorer_errors) == ([], {}, {}, {})
    assert kinds(events) == ["CaseStarted", "TaskFinished", "CaseFinished"]


def test_a_case_reports_its_failure_in_its_events() -> None:
    result, events = run_case(Evaluator("e", lambda input: throw(ValueError("no"))))

    started, finished, last = events
    assert isinstance(started, CaseStarted)
    assert finished == TaskFinished(started.ref, None, result.error)
    assert isinstance(last, CaseFinished) and last.result is result


def test_an_error_keeps_its_stack() -> None:
    result, _ = run_case(Evaluator("e", lambda input: throw(ValueError("no"))))

    assert result.error is not None
    assert "in throw" in result.error.stack
    assert result.error.stack.endswith("ValueError: no\n")
    assert "in throw" not in repr(result.error)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CaseError("ValueError", "no"), "ValueError: no"),
        (CaseError("ValueError", ""), "ValueError"),
    ],
    ids=["message", "no message"],
)
def test_an_error_as_text(error: CaseError, text: str) -> None:
    assert str(error) == text


class MuteError(Exception):
    def __str__(self) -> str:
        raise KeyError("tongue")


@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_a_task_may_fail_with_an_exception_that_has_no_text(recorded: bool, spans: Spans) -> None:
    tracing = EvalTracer(spans.tracer) if recorded else None
    result, events = run_case(Evaluator("e", lambda input: throw(MuteError())), tracer=tracing)

    assert result.error is not None
    assert result.error.type == "MuteError"
    assert kinds(events) == ["CaseStarted", "TaskFinished", "CaseFinished"]


@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_a_scorer_may_fail_with_an_exception_that_has_no_text(recorded: bool, spans: Spans) -> None:
    def failing(output: Any) -> Any:
        raise MuteError

    def other(output: Any) -> float:
        return 1

    tracing = EvalTracer(spans.tracer) if recorded else None
    result, _ = run_case(Evaluator("e", echo, scores=[failing, other]), tracer=tracing)

    assert (result.error, list(result.scores)) == (None, ["other"])
    assert result.scorer_errors["failing"].type == "MuteError"


def generate(input: Any) -> Iterator[int]:
    yield 1


class Mute:
    def __str__(self) -> str:
        raise KeyError("tongue")


class Unreadable:
    def model_dump(self) -> Any:
        raise KeyError("fields")


@pytest.mark.parametrize(
    ("task", "error"),
    [
        pytest.param(
            generate,
            "SerializationError: the task's output cannot be written as JSON: a generator has no"
            " value yet: return what it gives, such as a list",
            id="generator",
        ),
        pytest.param(
            lambda input: Mute(),
            "SerializationError: the task's output cannot be written as JSON: a Mute cannot be"
            " written as JSON, and its str() fails with KeyError: 'tongue'",
            id="object without text",
        ),
    ],
)
def test_an_output_that_json_cannot_hold_is_its_cases_error(task: Any, error: str) -> None:
    result, events = run_case(Evaluator("e", task, scores=[lambda output: 1]))

    assert str(result.error) == error
    assert (result.output, result.output_json, result.scores) == (None, None, {})
    assert kinds(events) == ["CaseStarted", "TaskFinished", "CaseFinished"]


def test_a_part_of_an_output_that_json_cannot_hold_costs_that_part_alone() -> None:
    evaluator = Evaluator("e", lambda input: {"a": 1, "b": Mute()}, scores=[lambda output: 1])
    result, _ = run_case(evaluator)

    assert json.loads(result.output_json or "") == {
        "a": 1,
        "b": "<not serializable: a Mute cannot be written as JSON, and its str() fails with"
        " KeyError: 'tongue'>",
    }
    assert (result.error, len(result.scores)) == (None, 1)


def test_a_part_of_metadata_that_json_cannot_hold_costs_that_part_alone(spans: Spans) -> None:
    def task(input: Any, hooks: EvalHooks) -> str:
        hooks.metadata["left"] = Unreadable()
        return "done"

    def explained(output: Any) -> dict[str, Any]:
        return {"score": 1, "metadata": {"why": Mute(), "how": 2}}

    case = EvalCase(1, metadata={"bad": (x for x in "ab"), "good": 1})
    run_case(Evaluator("e", task, scores=[explained]), case, tracer=EvalTracer(spans.tracer))

    metadata = attribute(spans.one("eval"), "metadata")
    assert metadata["good"] == 1
    assert metadata["bad"].startswith("<not serializable: a generator has no value yet")
    assert metadata["left"] == (
        "<not serializable: a Unreadable cannot be written as JSON: KeyError: 'fields'>"
    )
    explanation = attribute(spans.one("explained"), "metadata")
    assert explanation["how"] == 2
    assert explanation["why"].startswith("<not serializable: a Mute")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(EvalCase(Unreadable()), id="input"),
        pytest.param(EvalCase(1, expected=Unreadable()), id="expected"),
        pytest.param(EvalCase(1, metadata={"a": Unreadable()}), id="metadata"),
        pytest.param(EvalCase(Mute()), id="input without text"),
    ],
)
def test_a_case_that_json_cannot_hold_does_not_end_a_recorded_run(
    case: EvalCase, spans: Spans
) -> None:
    evaluator = Evaluator("e", lambda input: "done")

    events = events_of(
        evaluator,
        [case, {"input": 1}],
        max_concurrency=1,
        runner={"tracer": EvalTracer(spans.tracer)},
    )

    assert kinds(events)[-1] == "RunFinished"
    assert [result.ref.index for result in results_of(events)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("metadata", {"a": Unreadable()}), ("tags", [Mute()])],
    ids=["metadata", "tags"],
)
def test_metadata_that_json_cannot_hold_does_not_end_a_recorded_run(
    name: str, value: Any, spans: Spans
) -> None:
    def task(input: Any, hooks: Any) -> None:
        setattr(hooks, name, value)

    events = events_of(
        Evaluator("e", task), inputs(1, 2), runner={"tracer": EvalTracer(spans.tracer)}
    )

    assert kinds(events)[-1] == "RunFinished"
    assert len(results_of(events)) == 2


def test_a_failure_is_logged_on_the_server(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "flask_braintrust_evals"):
        run_case(Evaluator("greeter", lambda input: throw(ValueError("secret"))))

    (record,) = caplog.records
    assert record.getMessage() == "evaluator 'greeter': task failed on case 1: ValueError"
    assert record.exc_info is not None


def test_a_result_can_be_sent_to_another_machine() -> None:
    evaluator = Evaluator("e", echo, scores=[lambda output: 1], classifiers=[topic])
    result, events = run_case(evaluator, EvalCase({"a": 1}, tags=["t"]))

    assert pickle.loads(pickle.dumps(result)) == result
    assert pickle.loads(pickle.dumps(events)) == events


# The scope, which the application gives


class Scope:
    """Counts how often it is entered and exited, and may fail."""

    def __init__(self, enter: Exception | None = None, leave: Exception | None = None) -> None:
        self.log: list[tuple[str, str]] = []
        self._enter, self._leave = enter, leave

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.log.append(("enter", threading.current_thread().name))
        if self._enter is not None:
            raise self._enter
        try:
            yield
        finally:
            self.log.append(("leave", threading.current_thread().name))
            if self._leave is not None:
                raise self._leave


def test_each_case_has_a_scope_of_its_own_in_the_thread_of_its_task() -> None:
    scope = Scope()

    def task(input: Any) -> Any:
        scope.log.append(("task", threading.current_thread().name))

    def scorer(input: Any) -> None:
        scope.log.append(("scorer", threading.current_thread().name))

    events_of(
        Evaluator("e", task, scores=[scorer]),
        inputs(1, 2),
        max_concurrency=1,
        runner={"scope": scope},
    )

    assert [step for step, _ in scope.log] == ["enter", "task", "scorer", "leave"] * 2
    assert len({thread for _, thread in scope.log}) == 1


def test_a_scope_is_exited_when_the_task_fails() -> None:
    scope = Scope()

    run_case(Evaluator("e", lambda input: throw(SystemExit())), scope=scope)

    assert [step for step, _ in scope.log] == ["enter", "leave"]


def once(make: Callable[[], Any]) -> Callable[[], Any]:
    """``make()`` on the first call, a scope that does nothing afterwards."""
    scopes = iter([make])
    return lambda: next(scopes, contextlib.nullcontext)()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: throw(RuntimeError("no app")), id="cannot be made"),
        pytest.param(Scope(enter=RuntimeError("no app")), id="cannot be entered"),
    ],
)
def test_a_scope_that_cannot_be_entered_fails_that_case_alone(make: Callable[[], Any]) -> None:
    events = events_of(
        Evaluator("e", echo, scores=[lambda output: 1]),
        inputs("a", "b"),
        max_concurrency=1,
        runner={"scope": once(make)},
    )

    a, b = results_of(events)
    assert (str(a.error), a.output, a.scores) == ("RuntimeError: no app", None, {})
    assert (b.error, b.output) == (None, "b")
    assert kinds(events) == [*["CaseStarted", "TaskFinished", "CaseFinished"] * 2, "RunFinished"]


def test_a_scope_that_fails_on_exit_fails_that_case_alone(spans: Spans) -> None:
    events = events_of(
        Evaluator("e", echo, scores=[lambda output: 1]),
        inputs("a", "b"),
        max_concurrency=1,
        runner={
            "scope": once(Scope(leave=RuntimeError("no app"))),
            "tracer": EvalTracer(spans.tracer),
        },
    )

    a, b = results_of(events)
    assert (str(a.error), len(a.scores)) == ("RuntimeError: no app", 1)
    assert (b.error, b.output) == (None, "b")
    # The task's own result has been emitted by then, and is emitted once.
    assert kinds(events) == [*["CaseStarted", "TaskFinished", "CaseFinished"] * 2, "RunFinished"]
    assert [span.status.is_ok for span in spans.named("eval")] == [False, True]


def test_a_scope_that_fails_after_the_task_keeps_the_tasks_error() -> None:
    scope = Scope(leave=RuntimeError("no app"))

    result, events = run_case(Evaluator("e", lambda input: throw(ValueError("first"))), scope=scope)

    assert str(result.error) == "ValueError: first"
    assert kinds(events) == ["CaseStarted", "TaskFinished", "CaseFinished"]

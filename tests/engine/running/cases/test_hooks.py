"""What a task's second argument offers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.hooks import PROGRESS_EVENTS, EvalHooks
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import CaseProgress, Event
from flask_braintrust_evals.engine.values.results import CaseResult
from tests.engine.support import Spans, events_of, kinds, new_run, results_of, run_case
from tests.support import PATIENCE, happens, in_time

Task = Callable[[Any, EvalHooks], Any]


def case_of(task: Task, case: Any = "in") -> tuple[CaseResult, list[Event]]:
    return run_case(Evaluator("e", task), case)


def progress(events: list[Event]) -> list[dict[str, str]]:
    return [dict(event.event) for event in events if isinstance(event, CaseProgress)]


def test_hooks_describe_the_case_and_the_run() -> None:
    seen: list[Any] = []

    def task(input: Any, hooks: EvalHooks) -> None:
        seen.append(
            (
                hooks.expected,
                hooks.metadata,
                hooks.tags,
                hooks.parameters.greeting,
                hooks.parameters["greeting"],
                hooks.trial_index,
                hooks.cancel_event.is_set(),
            )
        )

    evaluator = Evaluator("e", task, parameters={"greeting": {"type": "string", "default": "hi"}})
    case = EvalCase("in", expected="out", metadata={"m": 1}, tags=["t"])
    events_of(evaluator, [case], trial_count=2, max_concurrency=1)

    assert seen == [
        ("out", {"m": 1}, ["t"], "hi", "hi", 0, False),
        ("out", {"m": 1}, ["t"], "hi", "hi", 1, False),
    ]


def test_hooks_of_a_bare_case_hold_empty_values() -> None:
    seen: list[Any] = []

    def task(input: Any, hooks: EvalHooks) -> None:
        seen.append((hooks.expected, hooks.metadata, hooks.tags, dict(hooks.parameters)))

    case_of(task)

    assert seen == [(None, {}, [], {})]


def test_what_is_set_on_the_span_of_the_hooks_is_on_the_tasks_span(spans: Spans) -> None:
    def task(input: Any, hooks: EvalHooks) -> None:
        hooks.span.set_attribute("mine", 1)

    evaluator = Evaluator("e", task)
    run_case(evaluator, tracer=EvalTracer(spans.tracer))

    assert (spans.one("task").attributes or {})["mine"] == 1


def mutate(hooks: EvalHooks) -> None:
    hooks.metadata["new"] = 2
    del hooks.metadata["old"]
    hooks.tags.append("b")


def replace(hooks: EvalHooks) -> None:
    hooks.metadata = {"new": 2}
    hooks.tags = ["a", "b"]


def replace_and_mutate(hooks: EvalHooks) -> None:
    hooks.metadata = {}
    hooks.metadata["new"] = 2
    hooks.tags = ("a",)
    hooks.tags.append("b")


@pytest.mark.parametrize("change", [mutate, replace, replace_and_mutate])
@pytest.mark.parametrize("fails", [False, True], ids=["returns", "fails"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_metadata_and_tags_that_a_task_changes_are_in_the_result(
    change: Callable[[EvalHooks], None], fails: bool, is_async: bool
) -> None:
    case = EvalCase("in", metadata={"old": 1}, tags=["a"])

    def task(input: Any, hooks: EvalHooks) -> None:
        change(hooks)
        if fails:
            raise ValueError

    async def async_task(input: Any, hooks: EvalHooks) -> None:
        task(input, hooks)

    result, _ = case_of(async_task if is_async else task, case)

    assert (result.metadata, result.tags) == ({"new": 2}, ["a", "b"])
    assert (case.metadata, case.tags) == ({"old": 1}, ["a"])


def test_metadata_and_tags_may_be_emptied_with_none() -> None:
    def task(input: Any, hooks: EvalHooks) -> None:
        hooks.metadata, hooks.tags = None, None

    result, _ = case_of(task, EvalCase("in", metadata={"m": 1}, tags=["t"]))

    assert (result.metadata, result.tags) == ({}, [])


def test_scorers_see_the_metadata_and_tags_as_the_task_changed_them() -> None:
    seen: list[Any] = []

    def scorer(metadata: Any, tags: Any) -> None:
        seen.append((metadata, tags))

    def task(input: Any, hooks: EvalHooks) -> None:
        hooks.metadata, hooks.tags = {"m": 1}, ["t"]

    run_case(Evaluator("e", task, scores=[scorer]))

    assert seen == [({"m": 1}, ["t"])]


def test_metadata_that_one_trial_changes_is_not_changed_for_the_next() -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        before = dict(hooks.metadata), list(hooks.tags)
        hooks.metadata["m"] = "changed"
        hooks.tags.append("changed")
        return before

    case = EvalCase("in", metadata={"m": 1}, tags=["t"])
    results = results_of(events_of(Evaluator("e", task), [case], trial_count=3, max_concurrency=1))

    assert [result.output for result in results] == [({"m": 1}, ["t"])] * 3


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("metadata", "m", "hooks.metadata must be a dict, not 'm'"),
        ("metadata", [1], "hooks.metadata must be a dict, not [1]"),
        ("tags", "t", "hooks.tags must be a list of strings, not 't'"),
    ],
    ids=["text as metadata", "list as metadata", "text as tags"],
)
def test_metadata_and_tags_of_the_wrong_type_are_refused(
    name: str, value: Any, message: str
) -> None:
    result, _ = case_of(lambda input, hooks: setattr(hooks, name, value))

    assert str(result.error) == f"TypeError: {message}"


@pytest.mark.parametrize("kind", PROGRESS_EVENTS)
def test_progress_of_every_kind_is_reported(kind: str) -> None:
    _, events = case_of(lambda input, hooks: hooks.report_progress({"event": kind, "data": "half"}))

    assert progress(events) == [
        {"format": "code", "output_type": "completion", "event": kind, "data": "half"}
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param({}, {"event": "progress", "data": ""}, id="empty"),
        pytest.param({"data": 'a "b"\n'}, {"data": 'a "b"\n'}, id="text stays as it is"),
        pytest.param({"data": "x\ud800"}, {"data": "x\ufffd"}, id="lone surrogate"),
        pytest.param({"data": {"a": [1]}}, {"data": '{"a":[1]}'}, id="other data is JSON"),
        pytest.param({"data": float("nan")}, {"data": '"NaN"'}, id="nan"),
        pytest.param({"data": None}, {"data": "null"}, id="none"),
        pytest.param(
            {"format": "llm", "output_type": "score", "id": "mine"},
            {"format": "llm", "output_type": "score"},
            id="format and output type",
        ),
    ],
)
def test_progress_is_completed(event: dict[str, Any], expected: dict[str, str]) -> None:
    _, events = case_of(lambda input, hooks: hooks.report_progress(event))

    full = {"format": "code", "output_type": "completion", "event": "progress", "data": ""}
    assert progress(events) == [{**full, **expected}]


KINDS = ", ".join(PROGRESS_EVENTS)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        pytest.param(
            "half",
            "TypeError: report_progress takes a dict with 'event' and 'data', not 'half'",
            id="text",
        ),
        pytest.param(
            {"event": "half"},
            f"ValueError: report_progress: 'event' is 'half', but must be one of {KINDS}",
            id="unknown kind",
        ),
        pytest.param(
            {"event": None},
            f"ValueError: report_progress: 'event' is None, but must be one of {KINDS}",
            id="no kind",
        ),
        pytest.param(
            {"event": ["done"]},
            f"ValueError: report_progress: 'event' is ['done'], but must be one of {KINDS}",
            id="list as kind",
        ),
        pytest.param(
            {"format": "text"},
            "ValueError: report_progress: 'format' is 'text', but must be one of code, llm, global,"
            " graph, topic_map, simulation",
            id="unknown format",
        ),
        pytest.param(
            {"output_type": None},
            "ValueError: report_progress: 'output_type' is None, but must be one of completion,"
            " score, classification, facet, any",
            id="no type of output",
        ),
        pytest.param(
            {"data": (x for x in "ab")},
            "SerializationError: a generator has no value yet: return what it gives, such as a"
            " list",
            id="data without a value",
        ),
    ],
)
def test_progress_that_makes_no_sense_is_refused(event: Any, error: str) -> None:
    result, events = case_of(lambda input, hooks: hooks.report_progress(event))

    assert str(result.error) == error
    assert progress(events) == []


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_progress_comes_in_its_order_and_before_the_tasks_result(is_async: bool) -> None:
    def task(input: Any, hooks: EvalHooks) -> None:
        for number in range(100):
            hooks.report_progress({"data": str(number)})

    async def async_task(input: Any, hooks: EvalHooks) -> None:
        for number in range(100):
            hooks.report_progress({"data": str(number)})
            if number % 10 == 0:
                await asyncio.sleep(0)

    _, events = case_of(async_task if is_async else task)

    assert kinds(events) == [
        "CaseStarted",
        *["CaseProgress"] * 100,
        "TaskFinished",
        "CaseFinished",
    ]
    assert [event["data"] for event in progress(events)] == [str(n) for n in range(100)]


def test_progress_of_an_async_task_is_emitted_while_the_task_runs() -> None:
    received = threading.Event()

    async def task(input: Any, hooks: EvalHooks) -> bool:
        hooks.report_progress({"data": "half"})
        return await asyncio.to_thread(received.wait, PATIENCE)

    def consume() -> list[bool]:
        outputs = []
        for event in new_run(Evaluator("e", task), [{"input": 1}]):
            if isinstance(event, CaseProgress):
                received.set()
            outputs += [result.output for result in results_of([event])]
        return outputs

    assert in_time(consume) == [True]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_progress_may_come_from_threads_of_the_task(is_async: bool) -> None:
    def report(hooks: EvalHooks) -> None:
        threads = [
            threading.Thread(target=hooks.report_progress, args=({"data": str(number)},))
            for number in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

    async def async_task(input: Any, hooks: EvalHooks) -> None:
        await asyncio.to_thread(report, hooks)

    _, events = case_of(async_task if is_async else lambda input, hooks: report(hooks))

    assert sorted(event["data"] for event in progress(events)) == list("0123456789")
    assert kinds(events)[-2:] == ["TaskFinished", "CaseFinished"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_progress_that_comes_after_the_task_is_dropped(is_async: bool) -> None:
    case_ended, reported = threading.Event(), threading.Event()
    left_running: list[Any] = []

    def report_late(hooks: EvalHooks) -> None:
        happens(case_ended)
        hooks.report_progress({"data": "late"})
        reported.set()

    def task(input: Any, hooks: EvalHooks) -> None:
        hooks.report_progress({"data": "in time"})
        threading.Thread(target=report_late, args=(hooks,)).start()

    async def async_task(input: Any, hooks: EvalHooks) -> None:
        async def later() -> None:
            await asyncio.to_thread(happens, case_ended)
            report_late(hooks)

        hooks.report_progress({"data": "in time"})
        left_running.append(asyncio.create_task(later()))

    _, events = case_of(async_task if is_async else task)
    case_ended.set()
    happens(reported)

    assert [event["data"] for event in progress(events)] == ["in time"]
    assert kinds(events)[-1] == "CaseFinished"


def test_trials_of_a_case_do_not_see_each_others_metadata() -> None:
    def task(input: Any, hooks: EvalHooks) -> int:
        hooks.metadata["deep"].append(input)
        return len(hooks.metadata["deep"])

    case = {"input": 1, "metadata": {"deep": []}}
    result = Evaluator("e", task, trial_count=3).run([case], max_concurrency=1)

    assert [each.output for each in result.results] == [1, 1, 1]
    assert case["metadata"] == {"deep": []}


def test_metadata_that_cannot_be_copied_is_taken_as_it_is() -> None:
    lock = threading.Lock()

    def task(input: Any, hooks: EvalHooks) -> bool:
        return hooks.metadata["lock"] is lock

    result = Evaluator("e", task).run([{"input": 1, "metadata": {"lock": lock}}])

    assert result.results[0].output is True

"""The spans of a case as a tree: their parents, when they end, and which code sees them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseJob
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import CaseProgress, CaseStarted
from flask_braintrust_evals.tracing.usage import CaseUsage
from tests.engine.support import (
    Spans,
    accuracy,
    attribute,
    case_id,
    echo,
    events_of,
    hex_id,
    inputs,
    kinds,
    results_of,
    run_case,
    throw,
    topic,
    trace_id,
)


async def length(output: Any) -> float:
    return 1


# The tree


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_case_is_a_tree_of_spans(is_async: bool, spans: Spans, tracing: EvalTracer) -> None:
    async def task(input: Any) -> Any:
        return input

    evaluator = Evaluator(
        "e", task if is_async else echo, scores=[accuracy, length], classifiers=[topic]
    )
    run_case(evaluator, tracer=tracing)

    assert spans.tree() == {"eval": {"task": {}, "accuracy": {}, "length": {}, "topic": {}}}


def test_a_task_that_fails_has_no_spans_of_scorers(spans: Spans, tracing: EvalTracer) -> None:
    evaluator = Evaluator("e", lambda input: throw(ValueError()), scores=[accuracy])
    run_case(evaluator, tracer=tracing)

    assert spans.tree() == {"eval": {"task": {}}}


def test_every_case_and_trial_is_a_trace_of_its_own(spans: Spans, tracing: EvalTracer) -> None:
    evaluator = Evaluator("e", echo, scores=[accuracy])
    events_of(evaluator, inputs(1, 2, 3), trial_count=2, runner={"tracer": tracing})

    traces = {trace_id(span) for span in spans.named("eval")}
    assert len(traces) == 6
    assert all(span.parent is None for span in spans.named("eval"))
    for one in traces:
        names = [s.name for s in spans.all if trace_id(s) == one]
        assert sorted(names) == ["accuracy", "eval", "task"]


def test_a_case_belongs_to_no_span_of_its_caller(spans: Spans, tracing: EvalTracer) -> None:
    with spans.tracer.start_as_current_span("request"):
        events_of(Evaluator("e", echo), inputs(1), runner={"tracer": tracing})

    assert spans.one("eval").parent is None


def test_a_case_links_to_the_span_that_asked_for_its_run(spans: Spans) -> None:
    asked = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))

    run_case(Evaluator("e", echo), tracer=EvalTracer(spans.tracer, link=asked))

    (link,) = spans.one("eval").links
    assert link.context == asked
    assert spans.one("task").links == ()


def test_a_case_without_such_a_span_has_no_link(spans: Spans) -> None:
    run_case(Evaluator("e", echo), tracer=EvalTracer(spans.tracer))

    assert spans.one("eval").links == ()


def test_the_ids_of_events_are_the_ids_of_eval_spans(spans: Spans, tracing: EvalTracer) -> None:
    def task(input: Any, hooks: Any) -> Any:
        hooks.report_progress({"data": "half"})
        return input

    events = events_of(Evaluator("e", task), inputs("a", "b", "c"), runner={"tracer": tracing})

    of_spans = {attribute(span, "input_json"): hex_id(span) for span in spans.named("eval")}
    of_cases = {
        event.case.input: event.ref.id for event in events if isinstance(event, CaseStarted)
    }
    assert of_cases == of_spans
    of_progress = {event.ref.id for event in events if isinstance(event, CaseProgress)}
    assert of_progress == {case_id(event) for event in events[:-1]} == set(of_spans.values())


# Spans of the user's own code


def nest(spans: Spans) -> None:
    with spans.tracer.start_as_current_span("outer"), spans.tracer.start_as_current_span("inner"):
        pass


async def nest_async(spans: Spans) -> None:
    with spans.tracer.start_as_current_span("outer"):
        await asyncio.sleep(0)
        with spans.tracer.start_as_current_span("inner"):
            await asyncio.sleep(0)


async def nest_in_task(spans: Spans) -> None:
    await asyncio.create_task(nest_async(spans))


async def nest_in_thread(spans: Spans) -> None:
    await asyncio.to_thread(nest, spans)


ways = pytest.mark.parametrize("way", [nest, nest_async, nest_in_task, nest_in_thread])


@ways
def test_spans_made_in_a_task_are_below_the_task(
    way: Callable[[Spans], Any], spans: Spans, tracing: EvalTracer
) -> None:
    run_case(Evaluator("e", lambda input: way(spans)), tracer=tracing)

    assert spans.tree() == {"eval": {"task": {"outer": {"inner": {}}}}}


@ways
@pytest.mark.parametrize("kind", ["scores", "classifiers"])
def test_spans_made_in_a_scorer_are_below_the_scorer(
    way: Callable[[Spans], Any], kind: str, spans: Spans, tracing: EvalTracer
) -> None:
    def mine(output: Any) -> Any:
        return way(spans)

    evaluator = Evaluator("e", echo, **{kind: [mine]})  # type: ignore[arg-type]
    run_case(evaluator, tracer=tracing)

    assert spans.tree() == {"eval": {"task": {}, "mine": {"outer": {"inner": {}}}}}


def test_spans_of_cases_that_run_at_the_same_time_do_not_mix(
    spans: Spans, tracing: EvalTracer
) -> None:
    async def task(input: Any) -> None:
        await asyncio.sleep(0.001 * (input % 3))
        with spans.tracer.start_as_current_span(f"step {input}"):
            await asyncio.sleep(0.001 * (input % 2))

    events_of(
        Evaluator("e", task), inputs(*range(20)), max_concurrency=10, runner={"tracer": tracing}
    )

    trace_of = {attribute(span, "input_json"): trace_id(span) for span in spans.named("eval")}
    for number in range(20):
        assert trace_id(spans.one(f"step {number}")) == trace_of[number]


def test_no_span_stays_current_after_its_case(spans: Spans, tracing: EvalTracer) -> None:
    # In the worker's thread, which is this one here.

    runner = CaseRunner(Evaluator("e", echo, scores=[accuracy]).plan, Parameters(), tracer=tracing)
    runner.run(CaseJob(EvalCase(1), 0, 0), lambda event: None)

    assert trace.get_current_span() is trace.INVALID_SPAN


def test_every_span_ends_before_the_case_is_reported_as_finished(
    spans: Spans, tracing: EvalTracer
) -> None:
    ended: list[int] = []

    runner = CaseRunner(Evaluator("e", echo, scores=[accuracy]).plan, Parameters(), tracer=tracing)
    runner.run(CaseJob(EvalCase(1), 0, 0), lambda event: ended.append(len(spans.all)))

    assert ended == [0, 1, 3]


def test_a_span_takes_as_long_as_what_it_is_about(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", lambda input: time.sleep(0.02)), tracer=tracing)

    eval, task = spans.one("eval"), spans.one("task")
    assert eval.start_time is not None and eval.end_time is not None
    assert task.start_time is not None and task.end_time is not None
    assert eval.start_time <= task.start_time < task.end_time <= eval.end_time
    assert task.end_time - task.start_time >= 15_000_000


# What scorers see of it


def test_a_scorer_sees_the_spans_of_its_own_case_that_have_ended(spans: Spans) -> None:
    class Collector:
        def of_case(self, of_trace: int) -> list[ReadableSpan]:
            return [span for span in spans.all if trace_id(span) == of_trace]

        def usage_of_case(self, root: SpanContext, *, ended: bool) -> CaseUsage:
            return CaseUsage()

    seen: dict[Any, list[list[str]]] = {}

    def first(input: Any, trace: CaseTrace) -> None:
        seen[input] = [[span.name for span in trace.get_spans()]]

    async def second(input: Any, trace: CaseTrace) -> None:
        seen[input].append([span.name for span in await trace.get_spans(include_scorers=True)])

    def task(input: Any) -> None:
        with spans.tracer.start_as_current_span(f"step {input}"):
            pass

    events_of(
        Evaluator("e", task, scores=[first], classifiers=[second]),
        inputs("a", "b"),
        runner={"tracer": EvalTracer(spans.tracer), "collector": Collector()},
    )

    assert seen == {name: [[f"step {name}", "task"]] * 2 for name in "ab"}


# No tracer


def test_a_run_without_a_tracer_gives_ids_all_the_same() -> None:
    results = results_of(events_of(Evaluator("e", echo), inputs(1, 2)))

    ids = {result.ref.id for result in results}
    assert len(ids) == 2
    assert all(len(id) == 16 for id in ids)


# The clock


def test_a_clock_that_is_set_meanwhile_costs_no_case_and_no_duration(
    spans: Spans, tracing: EvalTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, hours = time.time_ns, itertools.count()

    def jumping() -> int:
        """An hour back, or an hour ahead, in turns."""
        return real() + (3600 if next(hours) % 2 else -3600) * 10**9

    monkeypatch.setattr(time, "time_ns", jumping)
    monkeypatch.setattr(time, "time", lambda: jumping() / 1e9)
    evaluator = Evaluator("e", lambda input: time.sleep(0.02), scores=[lambda output: 1])

    events = events_of(
        evaluator, inputs(*range(8)), runner={"tracer": tracing}, timeout=60, idle_after=5
    )

    assert kinds(events).count("CaseFinished") == 8
    assert kinds(events)[-1] == "RunFinished"
    durations = {
        span.name: ((span.end_time or 0) - (span.start_time or 0)) / 1e9 for span in spans.all
    }
    assert len(spans.all) == 24
    assert 0.02 <= durations["task"] <= durations["eval"] < 10
    assert min(durations.values()) >= 0

"""How long tasks took, and what they and their scorers used."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from opentelemetry.trace import get_current_span

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.hooks import EvalHooks
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from flask_braintrust_evals.engine.values.summary import MetricSummary
from tests.engine.support import echo, inputs


def chat(input: int, hooks: EvalHooks) -> int:
    """A task that calls a model, with as many tokens as its input says."""
    with hooks.span.start_span("chat", type="llm") as span:
        span.log(metrics={"prompt_tokens": input, "completion_tokens": 1})
    return input


def test_the_duration_is_that_of_the_task_without_its_scorers() -> None:
    def slow(output: Any) -> float:
        time.sleep(0.2)
        return 1.0

    result = Evaluator("e", lambda input: time.sleep(0.02), scores=[slow]).run(inputs(1))
    (case,) = result.results
    assert 0.02 <= case.metrics["duration"] <= case.duration - 0.2
    assert result.metrics["duration"].mean == case.metrics["duration"]
    assert result.metrics["duration"].unit == "s"


def test_a_failed_task_has_a_duration_and_what_it_used_until_then() -> None:
    def task(input: Any, hooks: EvalHooks) -> None:
        hooks.span.log(metrics={"tokens": 5})
        raise ValueError

    (case,) = Evaluator("e", task).run(inputs(1)).results
    assert case.error is not None
    assert case.metrics["duration"] >= 0
    assert case.metrics["tokens"] == 5


def test_tokens_are_added_up_by_case_and_over_the_run() -> None:
    result = Evaluator("e", chat).run(inputs(10, 20, 33))
    assert [case.metrics["tokens"] for case in result.results] == [11, 21, 34]
    assert result.metrics["prompt_tokens"] == MetricSummary("prompt_tokens", 63, 3)
    assert result.metrics["prompt_tokens"].mean > 20  # a number also for type checkers
    assert (result.metrics["prompt_tokens"].mean, result.metrics["prompt_tokens"].unit) == (
        21,
        "tok",
    )
    assert result.summary.scorer_metrics == {}


def test_the_mean_is_that_of_the_cases_that_have_the_metric() -> None:
    def task(input: int, hooks: EvalHooks) -> int:
        return chat(input, hooks) if input else input

    result = Evaluator("e", task).run(inputs(0, 10))
    assert result.metrics["prompt_tokens"] == MetricSummary("prompt_tokens", 10, 1)
    assert result.metrics["duration"].count == 2


def test_what_a_scorer_uses_is_apart_from_what_the_task_uses() -> None:
    def judge(output: Any) -> float:
        get_current_span().set_attributes(
            {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.cost": 0.5}
        )
        return 1.0

    result = Evaluator("e", chat, scores=[judge], classifiers=[]).run(inputs(10))
    assert result.metrics["prompt_tokens"].total == 10
    assert "estimated_cost" not in result.metrics
    (case,) = result.results
    assert case.scorer_metrics == {"prompt_tokens": 100, "estimated_cost": 0.5}
    assert result.summary.scorer_metrics["estimated_cost"].unit == "$"


def test_a_scorer_sees_the_tasks_metrics_and_not_those_of_other_scorers() -> None:
    seen: list[dict[str, float]] = []
    judged = threading.Event()

    def judge(output: Any) -> float:
        get_current_span().set_attribute("gen_ai.usage.input_tokens", 1000)
        judged.set()
        return 1.0

    def cheap(trace: CaseTrace) -> bool:
        assert judged.wait(10)
        seen.append(trace.get_metrics())
        return seen[-1]["tokens"] < 50

    result = Evaluator("e", chat, scores=[judge, cheap]).run(inputs(10))
    assert result.scores["cheap"].mean == 1
    assert seen == [result.results[0].metrics]
    assert seen[0].keys() == {"duration", "prompt_tokens", "completion_tokens", "tokens"}


def test_spans_in_a_trace_have_the_tokens_of_opentelemetrys_attributes() -> None:
    def task(input: Any) -> None:
        get_current_span().set_attribute("gen_ai.usage.input_tokens", 3)

    found: list[float] = []

    def look(trace: CaseTrace) -> None:
        found.extend(span.metrics["prompt_tokens"] for span in trace.get_spans("task"))

    Evaluator("e", task, scores=[look]).run(inputs(1))
    assert found == [3]


def test_trials_and_cases_at_the_same_time_do_not_mix() -> None:
    async def task(input: int, hooks: EvalHooks) -> int:
        with hooks.span.start_span("chat", type="llm") as span:
            await asyncio.sleep(0.01)
            span.log(metrics={"tokens": input})
        return input

    result = Evaluator("e", task, trial_count=3).run(inputs(*range(1, 21)))
    assert len(result.results) == 60
    for case in result.results:
        assert case.metrics["tokens"] == case.output


def test_a_run_without_spans_has_durations_only() -> None:
    result = Evaluator("e", echo).run(inputs(1, 2))
    assert result.metrics.keys() == {"duration"}


@pytest.mark.parametrize("value", [0.1, 1 / 3])
def test_the_mean_of_equal_costs_is_that_cost(value: float) -> None:
    metric = MetricSummary("estimated_cost")
    for _ in range(1000):
        metric.add(value)
    assert metric.mean == value

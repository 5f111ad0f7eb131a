"""Tokens and costs that spans tell, added up by case."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, Tracer, set_span_in_context

from flask_braintrust_evals.tracing import collector as collecting
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.usage import MAX_OPEN, CaseUsage, usage_of
from flask_braintrust_evals.tracing.usage_collector import UsageCollector

SCORER = {"purpose": "scorer"}


@pytest.mark.parametrize(
    ("attributes", "usage"),
    [
        ({}, {}),
        ({"gen_ai.system": "x", "gen_ai.request.max_tokens": 9}, {}),
        (
            {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4},
            {"prompt_tokens": 3, "completion_tokens": 4, "tokens": 7},
        ),
        (
            {"gen_ai.usage.prompt_tokens": 3, "gen_ai.usage.completion_tokens": 4},
            {"prompt_tokens": 3, "completion_tokens": 4, "tokens": 7},
        ),
        # Some libraries write the old and the new name at the same time.
        (
            {"gen_ai.usage.prompt_tokens": 3, "gen_ai.usage.input_tokens": 3},
            {"prompt_tokens": 3},
        ),
        (
            {
                "gen_ai.usage.total_tokens": 10,
                "gen_ai.usage.cache_read.input_tokens": 2,
                "gen_ai.usage.cost": 0.25,
            },
            {"tokens": 10, "prompt_cached_tokens": 2, "estimated_cost": 0.25},
        ),
        (
            {
                "llm.token_count.prompt": 3,
                "llm.token_count.completion": 4,
                "llm.token_count.prompt_details.cache_read": 1,
                "llm.cost.total": 0.5,
                "gen_ai.usage.input_tokens": 3,
            },
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "tokens": 7,
                "prompt_cached_tokens": 1,
                "estimated_cost": 0.5,
            },
        ),
        ({"gen_ai.usage.input_tokens": True}, {}),
        ({"gen_ai.usage.input_tokens": -1}, {}),
        ({"gen_ai.usage.input_tokens": float("nan")}, {}),
        ({"gen_ai.usage.input_tokens": float("inf")}, {}),
        ({"gen_ai.usage.input_tokens": "7"}, {}),
        ({"gen_ai.usage.input_tokens": (1, 2)}, {}),
        ({"braintrust.metrics": "no JSON"}, {}),
        ({"braintrust.metrics": "[1]"}, {}),
        ({"braintrust.metrics": 5}, {}),
    ],
)
def test_the_attributes_of_a_span_are_read_by_the_sdks_names(
    attributes: dict[str, Any], usage: dict[str, float]
) -> None:
    assert usage_of(attributes) == usage


def test_of_logged_metrics_only_those_are_summed_that_can_be() -> None:
    metrics = {
        "start": 1.0,
        "end": 2.0,
        "time_to_first_token": 0.1,
        "rows": 5,
        "tokens": 9,
        "prompt_audio_tokens": 1,
        "completion_tokens": None,
        "estimated_cost": 0.5,
    }
    attributes = {
        "braintrust.metrics": json.dumps(metrics),
        "gen_ai.usage.total_tokens": 100,
        "gen_ai.usage.input_tokens": 4,
    }
    assert usage_of(attributes) == {
        "tokens": 9,
        "prompt_audio_tokens": 1,
        "estimated_cost": 0.5,
        "prompt_tokens": 4,
    }


# --- A case: a root span, and others below it ---


class Case:
    """One case whose spans are collected."""

    def __init__(self) -> None:
        self.delivered: list[ReadableSpan] = []
        self.collector = SpanCollector(CaseSpanProcessor(install=False), self._deliver)
        self.tracer: Tracer = self.collector.tracer
        self.root = self.tracer.start_span("eval")

    def _deliver(self, spans: Sequence[tuple[ReadableSpan, int]]) -> None:
        self.delivered += [span for span, _ in spans]

    def start(self, above: Span, **metrics: float) -> Span:
        return self.start_of(above, {}, **metrics)

    def start_of(self, above: Span, kind: dict[str, str], **metrics: float) -> Span:
        attributes = {"braintrust.span_attributes": json.dumps(kind)}
        if metrics:
            attributes["braintrust.metrics"] = json.dumps(metrics)
        return self.tracer.start_span("span", set_span_in_context(above), attributes=attributes)

    @contextmanager
    def span(self, above: Span, **metrics: float) -> Iterator[Span]:
        span = self.start(above, **metrics)
        yield span
        span.end()

    def usage(self, ended: bool = True) -> CaseUsage:
        return self.collector.usage_of_case(self.root.get_span_context(), ended=ended)


def test_a_span_that_repeats_the_sum_of_those_below_it_counts_once() -> None:
    case = Case()
    with (
        case.span(case.root) as task,
        case.span(task, tokens=30, estimated_cost=2) as agent,
        case.span(agent, tokens=30) as chain,
    ):
        case.start(chain, tokens=10, estimated_cost=1).end()
        case.start(chain, tokens=20, estimated_cost=1).end()
    assert case.usage() == CaseUsage({"tokens": 30, "estimated_cost": 2}, {})


def test_a_sum_that_covers_calls_without_spans_is_not_lost() -> None:
    case = Case()
    with case.span(case.root, tokens=50) as task:
        case.start(task, tokens=10, prompt_tokens=4).end()
    assert case.usage().task == {"tokens": 50, "prompt_tokens": 4}


def test_siblings_are_added_up_at_every_depth() -> None:
    case = Case()
    with case.span(case.root) as task:
        for _ in range(3):
            with case.span(task) as step:
                case.start(step, tokens=1).end()
                case.start(step, tokens=2).end()
    assert case.usage().task == {"tokens": 9}


def test_what_scorers_use_is_apart_also_in_spans_that_do_not_say_whose_they_are() -> None:
    case = Case()
    case.start(case.root, tokens=1).end()
    for _ in range(2):
        scorer = case.start_of(case.root, SCORER)
        case.start(scorer, tokens=10).end()
        case.start_of(scorer, SCORER, tokens=5).end()
        scorer.end()
    assert case.usage() == CaseUsage({"tokens": 1}, {"tokens": 30})


def test_a_scorer_that_is_running_does_not_count_as_the_task() -> None:
    case = Case()
    case.start(case.root, tokens=1).end()
    scorer = case.start_of(case.root, SCORER)
    case.start(scorer, tokens=10).end()
    assert case.usage(ended=False) == CaseUsage({"tokens": 1}, {})
    scorer.end()
    assert case.usage(ended=False) == CaseUsage({"tokens": 1}, {"tokens": 10})


def test_a_span_that_ends_after_the_one_above_it_counts() -> None:
    case = Case()
    with case.span(case.root, tokens=1) as task:
        late = case.start(task, tokens=5)
    late.end()
    assert case.usage().task == {"tokens": 6}


def test_spans_that_are_delivered_before_their_case_ends_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collecting, "MAX_CASE_SPANS", 4)
    case = Case()
    with case.span(case.root, tokens=100) as task:
        for _ in range(50):
            case.start(task, tokens=2).end()
    assert len(case.delivered) > 40
    assert case.usage().task == {"tokens": 100}


def test_nothing_is_kept_of_a_case_that_has_ended() -> None:
    case = Case()
    case.start(case.root, tokens=1).end()
    case.root.end()
    assert case.usage() == CaseUsage()
    assert not case.collector._usage


@pytest.mark.slow
def test_what_is_kept_of_a_case_is_bounded() -> None:
    case = Case()
    for _ in range(MAX_OPEN + 100):
        above = case.start(case.root)
        case.start(above, tokens=1).end()  # and the span above never ends
    (tree,) = case.collector._usage.values()
    assert len(tree._below) <= MAX_OPEN + 1
    assert case.usage().task == {"tokens": MAX_OPEN + 100}


def test_the_collector_that_keeps_no_spans_adds_up_the_same() -> None:
    collector = UsageCollector(CaseSpanProcessor(install=False))
    tracer = collector.tracer
    first, second = tracer.start_span("eval"), tracer.start_span("eval")
    for root, tokens in ((first, 1), (second, 10)):
        metrics = json.dumps({"tokens": tokens})
        for _ in range(3):
            tracer.start_span(
                "chat", set_span_in_context(root), attributes={"braintrust.metrics": metrics}
            ).end()
    late = tracer.start_span("late", set_span_in_context(first))
    assert collector.usage_of_case(first.get_span_context(), ended=True).task == {"tokens": 3}
    assert collector.usage_of_case(second.get_span_context(), ended=False).task == {"tokens": 30}
    first.end()
    second.end()
    late.set_attribute("gen_ai.usage.input_tokens", 5)
    late.end()
    assert not collector._usage, "a case that has ended is forgotten, whatever ends after it"
    assert not collector._running

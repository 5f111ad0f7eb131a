"""What scorers see of their case's spans."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace


def spans(*descriptions: dict[str, Any]) -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    for attributes in descriptions:
        with tracer.start_as_current_span(attributes.pop("name", "chat"), attributes=attributes):
            pass
    return exporter.get_finished_spans()


def kind(name: str, **more: str) -> dict[str, Any]:
    return {"name": name, "braintrust.span_attributes": json.dumps({"name": name, **more})}


def test_spans_are_read_as_the_sdk_has_them() -> None:
    description = {
        **kind("task", type="task"),
        "braintrust.input_json": '{"q": 1}',
        "braintrust.output_json": "[2]",
        "braintrust.metadata": '{"m": 3}',
    }
    (span,) = CaseTrace(lambda: spans(description)).get_spans()
    assert (span.input, span.output, span.metadata) == ({"q": 1}, [2], {"m": 3})
    assert span.span_attributes == {"name": "task", "type": "task"}
    assert (span.error, span.span_parents, span.expected) == (None, [], None)
    assert span.metrics["end"] >= span.metrics["start"] > 1_700_000_000


def test_spans_are_chosen_by_type_and_exclude_scorers() -> None:
    found = spans(
        kind("task", type="task"),
        kind("tool a", type="tool"),
        kind("judge", type="score", purpose="scorer"),
        {"name": "chat", "gen_ai.system": "openai"},
    )
    trace = CaseTrace(lambda: found)
    assert [span.name for span in trace.get_spans()] == ["task", "tool a", "chat"]
    assert [span.name for span in trace.get_spans("tool")] == ["tool a"]
    assert [span.name for span in trace.get_spans(["llm", "task"])] == ["task", "chat"]
    assert len(trace.get_spans(include_scorers=True)) == 4


def test_a_failed_span_says_why() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("test").start_span("it")
    span.set_status(Status(StatusCode.ERROR, "ValueError: no"))
    span.end()
    (data,) = CaseTrace(exporter.get_finished_spans).get_spans()
    assert data.error == "ValueError: no"


def test_the_thread_has_every_message_once() -> None:
    first = [{"role": "user", "content": "hi"}]
    answer = {"role": "assistant", "content": "hello"}
    second = [*first, answer, {"role": "user", "content": "and?"}]
    found = spans(
        {
            "gen_ai.input.messages": json.dumps(first),
            "gen_ai.output.messages": json.dumps([answer]),
        },
        {
            **kind("chat", type="llm"),
            "braintrust.input_json": json.dumps({"messages": second}),
            "braintrust.output_json": json.dumps({"choices": [{"message": "that"}]}),
        },
    )
    assert CaseTrace(lambda: found).get_thread() == [*second, "that"]


def test_both_methods_may_be_awaited() -> None:
    trace = CaseTrace(lambda: spans(kind("task", type="task")))

    async def ask() -> tuple[int, int]:
        return len(await trace.get_spans()), len(await trace.get_thread())

    assert asyncio.run(ask()) == (1, 0)


def test_without_tracing_there_are_no_spans() -> None:
    def count(trace: CaseTrace) -> float:
        return float(len(trace.get_spans()))

    result = Evaluator("e", str, scores=[count]).run([{"input": 1}])
    assert result.scores["count"].mean == 0

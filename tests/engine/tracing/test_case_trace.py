"""What scorers see of their case's spans."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, get_current_span

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.engine.tracing import span_classes
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from tests.engine.support import events_of, inputs
from tests.support import python


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


def trace_of(finished: Callable[[], Sequence[ReadableSpan]]) -> CaseTrace:
    return CaseTrace(finished, "experiment_id:e", "f" * 32)


def test_spans_are_read_as_the_sdk_has_them() -> None:
    description = {
        **kind("task", type="task"),
        "braintrust.input_json": '{"q": 1}',
        "braintrust.output_json": "[2]",
        "braintrust.metadata": '{"m": 3}',
    }
    (span,) = trace_of(lambda: spans(description)).get_spans()
    assert (span.input, span.output, span.metadata) == ({"q": 1}, [2], {"m": 3})
    assert span.span_attributes == {"name": "task", "type": "task"}
    assert (span.error, span.span_parents, span.expected) == (None, [], None)
    assert span.metrics["end"] >= span.metrics["start"] > 1_700_000_000


def test_spans_of_openinference_are_read_as_those_of_other_conventions() -> None:
    asked = {"role": "user", "content": "hi"}
    answer = {"role": "assistant", "content": "hello"}
    found = spans(
        {
            "name": "ChatCompletion",
            "openinference.span.kind": "LLM",
            "input.value": json.dumps({"model": "m", "messages": [asked]}),
            "output.value": json.dumps({"choices": [{"message": answer}]}),
            "llm.token_count.prompt": 2,
            "llm.token_count.completion": 3,
        },
        {"name": "look up", "openinference.span.kind": "TOOL", "output.value": "found"},
        {"name": "chain", "openinference.span.kind": "CHAIN", "gen_ai.system": "openai"},
    )
    trace = trace_of(lambda: found)
    assert list(trace.get_thread()) == [asked, answer]
    assert [span.span_attributes.get("type") for span in trace.get_spans()] == ["llm", "tool", None]
    chat, tool, _ = trace.get_spans()
    assert (chat.metrics["tokens"], tool.output) == (5, "found")


def test_spans_are_chosen_by_type_and_exclude_scorers() -> None:
    found = spans(
        kind("task", type="task"),
        kind("tool a", type="tool"),
        kind("judge", type="score", purpose="scorer"),
        {"name": "chat", "gen_ai.system": "openai"},
    )
    trace = trace_of(lambda: found)
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
    (data,) = trace_of(exporter.get_finished_spans).get_spans()
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
    assert trace_of(lambda: found).get_thread() == [*second, "that"]


def test_both_methods_may_be_awaited() -> None:
    trace = trace_of(lambda: spans(kind("task", type="task")))

    async def ask() -> tuple[int, int]:
        return len(await trace.get_spans()), len(await trace.get_thread())

    assert asyncio.run(ask()) == (1, 0)


def test_both_methods_may_be_passed_to_asyncio() -> None:
    # As by scorers that are written for the SDK and not async, and by autoevals.
    trace = trace_of(lambda: spans(kind("task", type="task")))

    async def ask() -> tuple[int, int]:
        both = await asyncio.gather(trace.get_spans(), asyncio.wait_for(trace.get_thread(), 5))
        return len(both[0]), len(both[1])

    async def cancel() -> None:
        task = asyncio.ensure_future(trace.get_spans())
        task.cancel()
        await task

    assert len(asyncio.run(trace.get_spans())) == 1
    assert asyncio.run(trace.get_thread()) == []
    assert asyncio.run(ask()) == (1, 0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())


# Wherever the evaluator runs


def task_with_steps(input: Any, hooks: EvalHooks) -> Any:
    with hooks.span.start_span("step", type="tool") as span:
        span.log(output=input, metadata={"deep": {"n": input}}, tags=["t"])
    if input == 2:
        with hooks.span.start_span("failing", type="tool") as span:
            span.log(error="no")
    return input


def seen_by(scorer: Callable[..., Any], *values: Any, **fields: Any) -> list[Any]:
    """What a scorer returns of its trace, by case, without anything that records spans."""
    seen: dict[Any, Any] = {}

    def score(input: Any, trace: CaseTrace) -> None:
        seen[input] = scorer(trace)

    result = Evaluator("e", task_with_steps, scores=[score], **fields).run(inputs(*values))
    assert not result.summary.scorer_errors, result
    return [seen[value] for value in values]


def test_in_python_a_scorer_sees_the_spans_of_its_own_case() -> None:
    assert seen_by(lambda trace: [span.name for span in trace.get_spans()], 1, 2, 3) == [
        ["step", "task"],
        ["step", "failing", "task"],
        ["step", "task"],
    ]


def test_spans_are_not_recorded_where_nobody_asks_for_them_or_can_have_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(span_classes, "find_span_class", lambda: None)
    seen: list[bool] = []

    def note(input: Any) -> None:
        seen.append(get_current_span().is_recording())

    def with_hooks(input: Any, hooks: EvalHooks) -> None:
        note(input)

    Evaluator("e", note, scores=[lambda output: 1]).run(inputs(1))
    Evaluator("e", note, classifiers=[lambda trace: None]).run(inputs(1))
    Evaluator("e", with_hooks).run(inputs(1))
    assert seen == [False, True, True]
    events_of(Evaluator("e", with_hooks), inputs(1))
    assert seen[-1] is False, "the consumer of this run does not want the tokens"


@pytest.mark.slow
def test_spans_of_the_applications_own_tracers_are_among_them_and_kept_no_longer() -> None:
    output = python(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from flask_braintrust_evals import EvalHooks, Evaluator

        trace.set_tracer_provider(TracerProvider())
        tracer = trace.get_tracer("app")

        def task(input):
            with tracer.start_as_current_span(f"query {input}"):
                return input

        def names(input, trace):
            seen[input] = [span.name for span in trace.get_spans()]

        seen = {}
        Evaluator("e", task, scores=[names]).run([{"input": n} for n in range(20)])
        assert seen == {n: [f"query {n}", "task"] for n in range(20)}, seen

        import gc
        from flask_braintrust_evals.tracing.tracer import RecordingSpan
        gc.collect()
        print(sum(isinstance(each, RecordingSpan) for each in gc.get_objects()))
        """
    )
    assert output == "0\n"


def test_spans_have_the_sdks_fields_tags_and_form_as_a_dict() -> None:
    ((step, task),) = seen_by(lambda trace: trace.get_spans(), 1)
    assert (step.tags, step.metadata, step.output) == (["t"], {"deep": {"n": 1}}, 1)
    row = step.to_dict()
    assert row["span_attributes"] == {"type": "tool", "name": "step"}
    assert row["tags"] == ["t"]
    assert row["span_parents"] == [task.span_id]
    assert row["root_span_id"] == task.root_span_id
    assert len(row["root_span_id"]) == 32
    assert "error" not in row and "expected" not in row
    json.dumps(row)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"name": ["step"]}, ["step"]),
        ({"name": []}, []),
        ({"span_type": ["tool"]}, ["step", "failing"]),
        ({"span_type": ["task"], "name": ["step"]}, []),
        ({"has_error": True}, ["failing"]),
        ({"has_error": False}, ["step", "task"]),
        ({"metadata": {"deep": {"n": 2}}}, ["step"]),
        ({"metadata": {"deep": {"n": True}}}, []),
        ({"metadata": {"deep": {"n": None}}}, ["failing", "task"]),
        ({"metadata": {}}, ["step", "failing", "task"]),
        ({"duration": {"min": 0}}, ["step", "failing", "task"]),
        ({"duration": {"min": 60}}, []),
        ({"duration": {"max": 60}}, ["step", "failing", "task"]),
        ({}, ["step", "failing", "task"]),
        (None, ["step", "failing", "task"]),
    ],
    ids=repr,
)
def test_filters_choose_spans(filters: Any, names: list[str]) -> None:
    found = seen_by(lambda trace: [s.name for s in trace.get_spans(filters=filters)], 2)
    assert found == [names]


@pytest.mark.parametrize(
    ("span_type", "filters", "text"),
    [
        (None, [], "filters must be a dict"),
        (None, {"kind": 1}, "unknown field 'kind'; there are: span_type, name, has_error"),
        (None, {"name": "step"}, "filters.name must be a list of strings, not 'step'"),
        (None, {"has_error": 1}, "filters.has_error must be True or False"),
        (None, {"metadata": 1}, "filters.metadata must be a dict"),
        (None, {"metadata": {1: 1}}, "keys must be strings"),
        (None, {"duration": {"least": 1}}, "filters.duration must be a dict with 'min' and 'max'"),
        (None, {"duration": {"min": float("nan")}}, "finite numbers of seconds"),
        (["tool"], {"span_type": ["task"]}, "span_type is given both"),
    ],
)
def test_a_filter_that_is_not_of_its_form_is_refused(
    span_type: Any, filters: Any, text: str
) -> None:
    with pytest.raises(ValueError, match="filter|span_type") as caught:
        trace_of(tuple).get_spans(span_type, filters=filters)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("parent", "object_type", "object_id"),
    [
        ("experiment_id:a", "experiment", "a"),
        ("playground_id:b", "playground_logs", "b"),
        ("project_id:c", "project_logs", "c"),
        (None, "experiment", ""),
    ],
)
def test_a_trace_says_where_it_is_recorded_also_as_json(
    parent: str | None, object_type: str, object_id: str
) -> None:
    trace = CaseTrace(tuple, parent, "f" * 32)
    reference = {"object_type": object_type, "object_id": object_id, "root_span_id": "f" * 32}
    assert trace.get_configuration() == reference
    assert json.loads(json.dumps(trace)) == {"trace_ref": reference}
    assert trace.get_thread(options={"preprocessor": "mine"}) == []

"""Spans in the terms of the braintrust SDK: ``hooks.span``, and what is started below it."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.hooks import EvalHooks
from flask_braintrust_evals.engine.tracing import span_classes
from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.tracing.span_scope import SpanScope, current_scope
from tests.engine.support import Spans, attribute, hex_id, run_case, trace_id


@pytest.fixture
def spans() -> Spans:
    return Spans()


def run(spans: Spans, task: Callable[[EvalHooks], Any], **options: Any) -> Any:
    """Run a task that gets the hooks alone; it must not fail."""
    evaluator = Evaluator("e", lambda input, hooks: task(hooks), **options)
    result, _ = run_case(evaluator, tracer=EvalTracer(spans.tracer))
    assert result.error is None, result.error.stack
    return result


def test_fields_are_logged_on_the_tasks_span(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> str:
        hooks.span.log(
            metadata={"model": "m"}, metrics={"tokens": 3}, scores={"own": True}, tags=["a", "a"]
        )
        hooks.span.log(tags=["b", "a"])
        hooks.span.log(input={"replaced": True}, expected=[1], output="replaced by the task's own")
        return "out"

    run(spans, task)
    span = spans.one("task")
    assert attribute(span, "metadata") == {"model": "m"}
    assert attribute(span, "metrics") == {"tokens": 3}
    assert attribute(span, "scores") == {"own": 1.0}
    assert (span.attributes or {})["braintrust.tags"] == ("a", "b")
    assert attribute(span, "input_json") == {"replaced": True}
    assert attribute(span, "expected_json") == [1]
    assert attribute(span, "output_json") == "out"


def test_what_is_logged_again_is_merged_where_it_is_an_object(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        span = hooks.span
        span.log(metadata={"a": {"x": 1, "y": [1]}, "b": 1}, output={"text": "hel"})
        span.log(metadata={"a": {"y": [2], "z": None}, "c": 2}, output=None)
        child = span.start_span("child", output=["first"])
        child.log(output=["second"], metadata=None)
        child.end()

    run(spans, task)
    assert attribute(spans.one("task"), "metadata") == {
        "a": {"x": 1, "y": [2], "z": None},
        "b": 1,
        "c": 2,
    }
    assert attribute(spans.one("child"), "output_json") == ["second"]


def test_a_field_of_another_name_is_kept_in_the_metadata(spans: Spans) -> None:
    run(spans, lambda hooks: hooks.span.log(inputs="old name", colour="red", metadata={"a": 1}))
    assert attribute(spans.one("task"), "metadata") == {"colour": "red", "a": 1}
    assert attribute(spans.one("task"), "input_json") == "old name"


class Facts(BaseModel):
    model: str = "m"


def test_metadata_may_be_a_model(spans: Spans) -> None:
    run(spans, lambda hooks: hooks.span.log(metadata=Facts()))
    assert attribute(spans.one("task"), "metadata") == {"model": "m"}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"scores": {"x": 2}}, "scores: 'x' must be a number from 0 to 1, not 2"),
        ({"scores": {"x": "1"}}, "scores: 'x' must be a number from 0 to 1, not '1'"),
        ({"scores": {"x": math.nan}}, "scores: 'x' must be a number from 0 to 1, not nan"),
        ({"scores": [1]}, "scores must be a dict whose keys are strings, not [1]"),
        ({"metrics": {"x": "1"}}, "metrics: 'x' must be a number, not '1'"),
        ({"metadata": {1: 2}}, "metadata must be a dict whose keys are strings, not {1: 2}"),
        ({"metadata": "text"}, "metadata must be a dict whose keys are strings, not 'text'"),
        ({"tags": "a"}, "tags must be a list of strings, not 'a'"),
        ({"tags": [1]}, "tags must be a list of strings, not [1]"),
    ],
)
@pytest.mark.parametrize("tracing", [None, "recorded"])
def test_what_braintrust_does_not_take_is_an_error_of_the_task(
    event: Any, message: str, tracing: str | None
) -> None:
    evaluator = Evaluator("e", lambda input, hooks: hooks.span.log(**event))
    result, _ = run_case(evaluator, tracer=None if tracing is None else EvalTracer(Spans().tracer))
    assert result.error is not None
    assert str(result.error) == f"ValueError: {message}"


def test_values_without_a_json_form_are_logged_and_have_no_other_effect(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> str:
        hooks.span.log(metadata={"a": 1})
        hooks.span.log(metadata={"numbers": (n for n in [1])}, input="kept")
        return "fine"

    assert run(spans, task).output == "fine"
    assert attribute(spans.one("task"), "input_json") == "kept"
    metadata = attribute(spans.one("task"), "metadata")
    assert metadata["a"] == 1
    assert metadata["numbers"].startswith("<not serializable: a generator has no value yet")


@pytest.mark.parametrize("error", [ValueError("no"), "no", {"why": "no"}])
def test_an_error_marks_the_span_as_failed(spans: Spans, error: Any) -> None:
    def task(hooks: EvalHooks) -> None:
        hooks.span.start_span("child", error=error).end()

    run(spans, task)
    span = spans.one("child")
    assert span.status.status_code is StatusCode.ERROR
    assert "no" in str((span.events[0].attributes or {})["exception.message"])
    assert spans.one("task").status.status_code is StatusCode.UNSET


def test_spans_are_started_below_one_another(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        with hooks.span.start_span("outer", type="function", input=1) as outer:
            with trace.get_tracer_provider().get_tracer("t").start_as_current_span("foreign"):
                pass
            assert trace.get_current_span().get_span_context() == outer.get_span_context()
            with outer.start_span("inner", span_attributes={"type": "llm", "colour": "red"}):
                pass
        hooks.span.start_span("aside").end()

    run(spans, task)
    assert spans.tree() == {"eval": {"task": {"outer": {"inner": {}}, "aside": {}}}}
    assert attribute(spans.one("outer"), "span_attributes") == {"type": "function", "name": "outer"}
    assert attribute(spans.one("inner"), "span_attributes") == {
        "type": "llm",
        "name": "inner",
        "colour": "red",
    }
    assert attribute(spans.one("aside"), "span_attributes") == {"name": "aside"}


def test_a_failure_inside_is_recorded_and_goes_on(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        with pytest.raises(KeyError), hooks.span.start_span("child"):
            raise KeyError("x")

    run(spans, task)
    assert spans.one("child").status.status_code is StatusCode.ERROR
    assert spans.one("child").events[0].name == "exception"


def test_a_span_that_is_not_to_be_current_is_not(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        before = trace.get_current_span()
        with hooks.span.start_span("child", set_current=False):
            assert trace.get_current_span() is before

    run(spans, task)


def test_a_span_that_is_ended_in_another_context_changes_and_logs_nothing(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    def task(hooks: EvalHooks) -> None:
        child = hooks.span.start_span("child")
        # As LangChain does: it begins and ends what a coroutine awaits in contexts of their own.
        contextvars.copy_context().run(child.set_current)
        contextvars.copy_context().run(child.__exit__, None, None, None)
        assert trace.get_current_span().get_span_context().span_id == int(hooks.span.span_id, 16)

    run(spans, task)
    assert spans.tree() == {"eval": {"task": {"child": {}}}}
    assert caplog.messages == []


def test_times_are_seconds_as_in_the_sdk(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        child = hooks.span.start_span("child", start_time=1000.5)
        assert child.end(1002.25) == 1002.25
        assert child.end() > 1002.25
        assert hooks.span.start_span("other").end(1_800_000_000_000_000_000) == 1.8e9

    run(spans, task)
    span = spans.one("child")
    assert (span.start_time, span.end_time) == (1_000_500_000_000, 1_002_250_000_000)
    assert spans.one("other").end_time == 1_800_000_000_000_000_000


def test_a_span_has_its_ids(spans: Spans) -> None:
    seen: list[Any] = []

    def task(hooks: EvalHooks) -> None:
        seen.append((hooks.span.id, hooks.span.span_id, hooks.span.root_span_id, hooks.span.name))
        seen.append(repr(hooks.span))

    run(spans, task)
    span = spans.one("task")
    trace_hex = format(trace_id(span), "032x")
    assert seen == [
        (hex_id(span), hex_id(span), trace_hex, "task"),
        f"EvalSpan(name='task', id={hex_id(span)!r})",
    ]


def test_a_span_is_opentelemetrys_as_well(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        span = hooks.span
        assert isinstance(span, trace.Span)
        assert span.is_recording()
        span.set_attribute("one", 1)
        span.set_attributes({"two": 2})
        span.add_event("happened", {"x": 1})
        span.record_exception(ValueError("x"))
        span.set_status(StatusCode.OK)
        with trace.use_span(span, end_on_exit=False):
            pass
        child = span.start_span("child")
        child.set_attributes("renamed", type="tool", span_attributes={"colour": "red"})
        child.end()

    run(spans, task)
    span = spans.one("task")
    attributes = span.attributes or {}
    assert (attributes["one"], attributes["two"]) == (1, 2)
    assert [event.name for event in span.events] == ["happened", "exception"]
    assert span.status.status_code is StatusCode.OK
    assert attribute(spans.one("renamed"), "span_attributes") == {
        "name": "renamed",
        "type": "tool",
        "colour": "red",
    }


def test_without_tracing_a_span_takes_everything_and_records_nothing() -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        with hooks.span.start_span("child", input=1) as child:
            child.log(output=2)
        return [child.id, child.name, child.root_span_id, hooks.span.is_recording()]

    result, _ = run_case(Evaluator("e", task))
    assert result.output == ["", "", "", False]


def test_what_scorers_start_is_marked_as_theirs(spans: Spans) -> None:
    scopes: list[SpanScope | None] = []

    def scorer(output: Any) -> float:
        scope = current_scope.get()
        scopes.append(scope)
        assert scope is not None
        EvalSpan(trace.get_current_span(), scope).start_span("judge", type="llm").end()
        return 1

    def task(hooks: EvalHooks) -> None:
        scopes.append(current_scope.get())

    run(spans, task, scores=[scorer])
    assert [None if scope is None else dict(scope.inherited) for scope in scopes] == [
        {},
        {"purpose": "scorer"},
    ]
    assert attribute(spans.one("judge"), "span_attributes") == {
        "type": "llm",
        "name": "judge",
        "purpose": "scorer",
    }
    assert current_scope.get() is None


@pytest.mark.parametrize("argument", ["input", "hooks"])
def test_a_run_that_is_not_recorded_does_not_change_what_the_sdk_logs(
    argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_classes, "sdk_has_logger", lambda: True)
    scopes: list[Any] = []
    tasks: dict[str, Any] = {
        "input": lambda input: scopes.append(current_scope.get()),
        "hooks": lambda input, hooks: scopes.append(current_scope.get()),
    }
    Evaluator("e", tasks[argument]).run([{"input": 1}])
    assert scopes == [None]


def test_a_run_inside_of_a_recorded_case_gives_the_sdk_nothing_to_log(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_classes, "sdk_has_logger", lambda: True)
    inner = Evaluator("inner", lambda input, hooks: current_scope.get() is not None)
    outputs: list[Any] = []

    def task(input: Any) -> None:
        outputs.extend(each.output for each in inner.run([{"input": input}]).results)

    run(spans, task)
    assert outputs == [True]
    assert spans.one("task")


class Chatty:
    """A value whose text is traced itself."""

    def __init__(self, span: EvalSpan) -> None:
        self._span = span

    def __str__(self) -> str:
        self._span.log(metadata={"asked": True})
        return "text"


def test_a_value_that_logs_while_it_is_written_blocks_no_thread(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        hooks.span.log(metadata={"before": 1})
        hooks.span.log(metadata={"value": Chatty(hooks.span)})

    run(spans, task)
    assert attribute(spans.one("task"), "metadata") == {
        "before": 1,
        "asked": True,
        "value": "text",
    }


def test_what_a_scorer_logs_is_kept_beside_its_score(spans: Spans) -> None:
    def scorer(output: Any) -> dict[str, Any]:
        scope = current_scope.get()
        assert scope is not None
        span = EvalSpan(trace.get_current_span(), scope)
        span.log(metadata={"own": 1}, scores={"extra": 0.5})
        return {"score": 1, "metadata": {"why": "good"}}

    run(spans, lambda hooks: None, scores=[scorer])
    assert attribute(spans.one("scorer"), "metadata") == {"own": 1, "why": "good"}
    assert attribute(spans.one("scorer"), "scores") == {"extra": 0.5, "scorer": 1.0}


def test_a_span_has_what_the_sdks_have_though_it_has_nothing_to_say(spans: Spans) -> None:
    def task(hooks: EvalHooks) -> None:
        span = hooks.span
        assert (span.export(), span.link(), span.permalink()) == ("", "", "")
        assert span.inject({"a": "b"}) == {"a": "b"}
        assert "braintrust.span_attributes" in span.attributes

    run(spans, task)

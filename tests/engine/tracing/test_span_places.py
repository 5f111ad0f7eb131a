"""Each span says what recorded it, and which place in the user's code it stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.tracing.span_context import Place, context_of, span_context
from tests.engine.support import Spans, run_case


def context(span: ReadableSpan) -> dict[str, Any]:
    value = json.loads(str((span.attributes or {})["braintrust.context_json"]))
    assert isinstance(value, dict)
    return value


def place(span: ReadableSpan) -> tuple[Any, ...]:
    """The function and the line of a span's context, which must be in this file."""
    value = context(span)
    assert value["caller_filename"] == __file__
    return value["caller_functionname"], value["caller_lineno"]


def line_of(function: Any) -> int:
    return int(function.__code__.co_firstlineno)


def task(input: Any, hooks: Any) -> Any:
    with hooks.span.start_span("step"):
        return input


def scorer(output: Any) -> float:
    return 1


class Judge:
    """A scorer that is an object."""

    __name__ = "judge"

    def __call__(self, output: Any) -> float:
        return 1


def test_spans_stand_for_the_functions_that_they_record(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", task, scores=[scorer, Judge()]), tracer=tracing)

    assert place(spans.one("eval")) == place(spans.one("task")) == ("task", line_of(task))
    assert place(spans.one("scorer")) == ("scorer", line_of(scorer))
    assert place(spans.one("judge")) == ("__call__", line_of(Judge.__call__))
    # A span that the code itself starts stands for the line that does so.
    assert place(spans.one("step")) == ("task", line_of(task) + 1)
    for span in spans.all:
        assert context(span)["span_origin"] == {
            "name": "flask_braintrust_evals",
            "version": __version__,
            "instrumentation": {"name": "flask-braintrust-evals"},
        }


def test_a_function_without_code_has_no_place(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", str), tracer=tracing)
    assert list(context(spans.one("task"))) == ["span_origin"]


def test_what_the_sdk_traces_stands_for_the_users_line(spans: Spans, tracing: EvalTracer) -> None:
    braintrust = pytest.importorskip("braintrust")
    from flask_braintrust_evals.contrib.braintrust.tracing import install

    def traces(input: Any) -> None:
        with braintrust.start_span(name="step"):
            pass

    run_case(Evaluator("e", traces), tracer=tracing, span_class=install())
    assert place(spans.one("step")) == ("traces", line_of(traces) + 1)
    origin = context(spans.one("step"))["span_origin"]
    assert origin["instrumentation"] == {"name": "braintrust-python-logger"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"code.file.path": "a.py", "code.line.number": 3}, Place("", "a.py", 3)),
        (
            {"code.filepath": "a.py", "code.lineno": 3, "code.function": "f"},
            Place("f", "a.py", 3),
        ),
        ({"code.filepath": 1, "code.lineno": 3}, None),
        ({"code.filepath": "a.py", "code.lineno": "3"}, None),
        ({"code.filepath": "a" * 9999, "code.lineno": 3}, Place("", "a" * 500, 3)),
    ],
)
def test_spans_of_other_tracers_stand_for_what_their_attributes_name(
    attributes: dict[str, Any], expected: Place | None
) -> None:
    scope = InstrumentationScope("their.library")
    span = ReadableSpan(
        "it", SpanContext(1, 2, False), attributes=attributes, instrumentation_scope=scope
    )
    assert context_of(span) == span_context(expected, "their.library")


def test_the_environment_is_what_braintrusts_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINTRUST_ENVIRONMENT_TYPE", "server")
    monkeypatch.setenv("BRAINTRUST_ENVIRONMENT_NAME", "staging")
    span_context.cache_clear()
    try:
        origin = json.loads(span_context(None))["span_origin"]
    finally:
        span_context.cache_clear()
    assert origin["environment"] == {"type": "server", "name": "staging"}

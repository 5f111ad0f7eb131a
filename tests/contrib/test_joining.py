"""How the SDK's tracing is joined, and what is said where it cannot be."""

from __future__ import annotations

import contextvars
import functools
import logging
from collections.abc import Callable
from typing import Any

import braintrust
import pytest
from braintrust.logger import _internal_get_global_state
from braintrust.span_types import SpanTypeAttribute
from braintrust.test_helpers import init_test_logger, simulate_login, simulate_logout
from braintrust.util import LazyValue
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracer, Tracer

from flask_braintrust_evals import Evaluator, contrib
from flask_braintrust_evals.contrib import braintrust_spans
from flask_braintrust_evals.contrib.braintrust import tracing
from flask_braintrust_evals.contrib.braintrust.tracing import CaseContextManager, SdkSpan
from flask_braintrust_evals.engine.tracing.span_scope import current_scope
from tests.standin import StandIn
from tests.support import TOKEN, python
from tests.web.support import Api, cloud_app


def test_the_sdk_is_joined_once_however_often_runs_begin() -> None:
    assert braintrust_spans() is SdkSpan
    manager = _internal_get_global_state().context_manager
    assert isinstance(manager, CaseContextManager)
    assert braintrust_spans() is SdkSpan
    assert _internal_get_global_state().context_manager is manager


def test_an_sdk_whose_spans_have_more_methods_is_not_joined_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(contrib, "_logged", set())
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(tracing.SdkSpan, "__abstractmethods__", frozenset(["paint"]))
        assert braintrust_spans() is None
        assert braintrust_spans() is None
    assert braintrust_spans() is SdkSpan, "a failure that has passed is not remembered"
    assert len(caplog.records) == 1
    assert "cannot be joined to runs (TypeError: its spans have methods that are not known" in (
        caplog.text
    )
    assert "paint" in caplog.text


@pytest.mark.slow
def test_an_sdk_that_a_task_imports_first_is_joined_to_its_run() -> None:
    printed = python("""
        import sys, flask
        from flask_braintrust_evals import EvalsBlueprint
        bp = EvalsBlueprint("evals", __name__)
        @bp.evaluator
        def task(input):
            assert "braintrust" not in sys.modules  # installed, and of no use so far
            from braintrust.logger import _internal_get_global_state
            return type(_internal_get_global_state().context_manager).__name__
        app = flask.Flask(__name__)
        app.config["BRAINTRUST_EVALS_AUTH"] = "none"
        app.register_blueprint(bp, url_prefix="/evals")
        body = {"name": "task", "data": {"data": [{"input": 1}]}}
        print(app.test_client().post("/evals/eval", json=body).text)
    """)
    assert "CaseContextManager" in printed


def test_outside_of_cases_the_sdk_has_its_own_current_span() -> None:
    braintrust_spans()
    assert braintrust.current_span() is braintrust.NOOP_SPAN


def usage_of(evaluator: Evaluator) -> dict[str, float]:
    (case,) = evaluator.run([{"input": 1}]).results
    return {name: value for name, value in case.metrics.items() if name != "duration"}


def call_model(input: object) -> None:
    """What the SDK's wrappers of language models do."""
    with braintrust.start_span("chat", type=SpanTypeAttribute.LLM) as span:
        span.log(metrics={"prompt_tokens": 3, "completion_tokens": 4, "tokens": 7})


def test_tokens_that_the_sdk_traces_are_counted_where_it_has_no_logger_of_its_own() -> None:
    assert usage_of(Evaluator("e", call_model)) == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "tokens": 7,
    }


def test_what_the_sdk_logs_to_a_project_of_the_users_stays_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, sdk = _internal_get_global_state(), braintrust.logger
    monkeypatch.setattr(sdk, "_compute_logger_metadata", sdk._compute_logger_metadata)
    simulate_login()
    try:
        with sdk._internal_with_memory_background_logger() as logged:
            monkeypatch.setattr(state, "_global_bg_logger", LazyValue(lambda: logged, False))
            init_test_logger("of the user")
            assert usage_of(Evaluator("e", call_model)) == {}
            (row,) = logged.pop()
    finally:
        simulate_logout()
    assert row["metrics"]["tokens"] == 7


def recorded(task: Callable[[], None]) -> dict[str, Any]:
    """The spans of a case, by their names."""
    spans: dict[str, Any] = {}

    def look(trace: Any) -> float:
        spans.update({span.name: span for span in trace.get_spans()})
        return 1.0

    Evaluator("e", lambda input: task(), scores=[look]).run([{"input": 1}])
    return spans


@pytest.mark.parametrize(
    "tracer",
    [
        NoOpTracer(),  # of an application without a tracer provider
        TracerProvider(sampler=ALWAYS_OFF).get_tracer("dropped"),
        TracerProvider().get_tracer("of a provider that is not the global one"),
    ],
)
def test_what_the_sdk_records_inside_a_span_that_is_not_delivered_is_kept(tracer: Tracer) -> None:
    def task() -> None:
        with tracer.start_as_current_span("a"), tracer.start_as_current_span("b"):
            braintrust.current_span().log(metadata={"of": "task"})
            call_model("below the task")
        with braintrust.start_span("agent"), tracer.start_as_current_span("c"):
            braintrust.current_span().log(metadata={"of": "agent"})
            with braintrust.start_span("below the agent"):
                pass

    spans = recorded(task)
    ids = {span.span_id: name for name, span in spans.items()}
    above = {name: ids.get(*span.span_parents) for name, span in spans.items() if name != "task"}
    assert above == {"chat": "task", "agent": "task", "below the agent": "agent"}
    assert [spans[name].metadata for name in ("task", "agent")] == [{"of": "task"}, {"of": "agent"}]


def test_what_the_sdk_records_in_the_context_of_another_case_is_kept_in_its_own() -> None:
    kept: list[Context] = []
    recorded(lambda: kept.append(otel_context.get_current()))

    def task(context: Context) -> None:
        with braintrust.start_span("agent"):
            token = otel_context.attach(context)
            call_model("elsewhere")
            otel_context.detach(token)

    for context in (Context(), kept[0]):
        spans = recorded(functools.partial(task, context))
        assert spans["chat"].span_parents == [spans["agent"].span_id]
        assert spans["agent"].span_parents == [spans["task"].span_id]


def test_a_span_is_not_put_below_a_case_of_another_caller_that_is_running(cloud: StandIn) -> None:
    cloud.add_user("token-of-bob")

    def of_bob(exported: str) -> None:
        braintrust.start_span("of bob", parent=exported).end()

    def of_ada(input: Any) -> None:
        bob.outputs(name="bob", data=[{"input": braintrust.current_span().export()}])

    app = cloud_app(cloud, Evaluator("ada", of_ada), Evaluator("bob", of_bob))
    bob = Api(app, token="token-of-bob")
    Api(app).outputs(name="ada", data=[{"input": 1}])
    (span,) = cloud.spans_named("of bob")
    tasks = {each.token: each for each in cloud.spans_named("task")}
    assert span.trace_id == tasks["token-of-bob"].trace_id != tasks[TOKEN].trace_id
    assert span.parent_span_id == tasks["token-of-bob"].span_id


def test_a_span_that_ends_in_another_context_leaves_that_one_alone() -> None:
    outside = contextvars.Context()

    def task() -> None:
        span = braintrust.start_span("agent")
        span.__enter__()
        outside.run(span.__exit__, None, None, None)

    assert set(recorded(task)) == {"agent", "task"}
    assert outside.run(current_scope.get) is None
    assert outside.run(braintrust.current_span) is braintrust.NOOP_SPAN

"""One application with the evaluators of all others that the tests serve, and with some of its own.

Every blueprint has a prefix, and evaluators of different blueprints have the same names.
"""

from __future__ import annotations

import contextvars
import dataclasses
import datetime
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import braintrust
from flask import Flask, g
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from example_app.background import celery_init_app
from example_app.evaluators import evals_bp
from flask_braintrust_evals import Classification, EvalHooks, EvalsBlueprint, Score
from tests.live import app as live_app
from tests.live import sdk_app, traced_app

OFFICIAL = Path(__file__).parent.parent / "official" / "evals"

own = EvalsBlueprint("own", __name__)
first = EvalsBlueprint("first", __name__)
second = EvalsBlueprint("second", __name__)
official = EvalsBlueprint("official", __name__)
official.load(OFFICIAL)
tracer = trace.get_tracer("the.application")

BLUEPRINTS = {
    "own": own,
    "first": first,
    "second": second,
    "live": live_app.bp,
    "sdk": sdk_app.bp,
    "traced": traced_app.bp,
    "example": evals_bp,
    "official": official,
}


def exact_match(output: Any, expected: Any) -> bool:
    return bool(output == expected)


@dataclasses.dataclass
class Note:
    text: str


# --- What a case has, and what is made of it ---


def given(input: Any, metadata: Any, tags: Any, id: Any, parameters: Any) -> Score:
    seen = {"input": input, "metadata": metadata, "tags": tags, "id": id, **parameters}
    return Score("given", 1, seen)


def several(output: Any) -> list[Any]:
    return [Score("a", 0.25, {"at": datetime.date(2026, 1, 2)}), {"name": "b", "score": None}]


def kind(output: Any) -> list[Classification]:
    notes = {"note": Note("odd"), "at": datetime.date(2026, 1, 2)}
    return [Classification("x", label="X", metadata=notes), Classification("y", name="another")]


def broken_kind(output: Any) -> Classification:
    raise LookupError("no such kind")


@own.evaluator(
    "whole",
    scores=[exact_match, given, several],
    classifiers=[kind, broken_kind],
    parameters={"limit": {"type": "integer", "default": 3, "minimum": 1}},
    trial_count=2,
    tags=["whole"],
)
def whole(input: Any, hooks: EvalHooks) -> Any:
    hooks.metadata["at"] = datetime.datetime(2026, 1, 2, 3, 4)
    hooks.metadata["note"] = Note("of the task")
    hooks.metadata["numbers"] = {1: {2}}
    hooks.tags.append("seen")
    hooks.span.set_attribute("of.the.application", [1, 2])
    return {"expected": hooks.expected, "trial": hooks.trial_index, "limit": hooks.parameters.limit}


@own.evaluator("emptied", scores=[given], data=[{"input": 1, "metadata": {"a": 1}, "tags": ["t"]}])
def emptied(input: Any, hooks: EvalHooks) -> Any:
    hooks.metadata.clear()
    hooks.tags.clear()
    return [hooks.metadata, hooks.tags]


# --- Failures ---


def handle(span: Any, case: Any, names: list[str]) -> dict[str, float]:
    span.log(metadata={"handled": names, "case": case.input})
    span.set_attribute("of.the.handler", "x")
    return {name: 0.125 for name in names}


def handle_badly(span: Any, case: Any, names: list[str]) -> Any:
    return {"x": "no number"}


def out_of_order(output: Any) -> float:
    raise RuntimeError("scorer out of order")


def flaky(input: Any) -> Any:
    if input == "bad":
        raise ValueError("bad input\r\n\u2028é")
    return input


own.evaluator("handled", scores=[exact_match, out_of_order], error_score_handler=handle)(flaky)
own.evaluator("badly-handled", scores=[out_of_order], error_score_handler=handle_badly)(flaky)


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@own.evaluator("odd-error", scores=[exact_match])
def odd_error(input: Any) -> Any:
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise OddError from error


@own.evaluator("leaving-scope", scores=[exact_match])
def leaving_scope(input: Any) -> Any:
    g.fails_at_teardown = input == "bad"
    return input


calls: list[Any] = []


@own.evaluator("retried", scores=[exact_match], retries=1)
def retried(input: Any, hooks: EvalHooks) -> Any:
    hooks.metadata.setdefault("tried", []).append(input)
    calls.append(input)
    if calls.count(input) == 1:
        raise ConnectionError("once")
    calls.clear()
    return [hooks.metadata]


tried: list[Any] = []


@own.evaluator("sometimes")
def sometimes(input: Any) -> Any:
    """Fails on every second call with an input."""
    tried.append(input)
    if tried.count(input) % 2:
        raise ConnectionError("once")
    return input


@own.evaluator("slow", scores=[exact_match], task_timeout=0.2)
def slow(input: Any, hooks: EvalHooks) -> Any:
    hooks.metadata["before"] = True
    hooks.report_progress({"event": "text_delta", "data": "begins"})
    if input == "slow":
        hooks.cancel_event.wait(10)
        hooks.metadata["after"] = True
        hooks.report_progress({"event": "text_delta", "data": "too late"})
    return input


# --- Spans ---


@own.evaluator("late-spans", scores=[exact_match])
def late_spans(input: Any) -> Any:
    """The first case starts a span that ends after it, while the second one still runs."""

    def later() -> None:
        with tracer.start_as_current_span("late"):
            time.sleep(0.3)

    if input == "first":
        threading.Thread(target=contextvars.copy_context().run, args=(later,)).start()
    else:
        time.sleep(0.8)
    return input


@own.evaluator("large-spans", scores=[exact_match])
def large_spans(input: Any, hooks: EvalHooks) -> Any:
    for number in range(1):
        with tracer.start_as_current_span(f"large {number}") as span:
            span.set_attribute("text", "é" * 700_000)
            span.add_event("an event", {"number": number}, timestamp=number)
    hooks.span.add_link(span.get_span_context(), {"of": "the task"})
    return "ö" * 700_000


def counted(trace: Any) -> Score:
    spans = [[each.name, each.span_attributes.get("type")] for each in trace.get_spans()]
    metrics = {**trace.get_metrics(), "duration": 0}
    found = {"spans": spans, "metrics": metrics, "where": trace.get_configuration()}
    return Score("counted", 1, found)


@own.evaluator("metered", scores=[counted])
def metered(input: Any, hooks: EvalHooks) -> Any:
    with hooks.span.start_span("model", type="llm", input=input) as span:
        span.log(output="o", metrics={"prompt_tokens": 2, "completion_tokens": 3, "tokens": 5})
    with hooks.span.start_span("tool", type="tool") as span:
        span.log(error="of the tool", tags=["a"], scores={"own": 0.5})
    return [hooks.span.name, bool(hooks.span.id), hooks.span.braintrust_parent]


def judged(output: Any) -> float:
    with tracer.start_as_current_span("chat", attributes={"gen_ai.usage.input_tokens": 4}):
        return 1.0


own.evaluator("metered-scorer", scores=[judged])(flaky)


# --- Ways to call ---


@own.evaluator("blocking", scores=[exact_match, counted], blocking=True)
def blocking(input: Any) -> Any:
    time.sleep(0.01)
    return input


def rows() -> Iterator[Any]:
    yield {"input": "a", "expected": "a", "id": "row-1", "origin": None}
    yield {"input": "b", "metadata": {"m": [1, None]}, "tags": ["t"], "trial_count": 2}


async def later_rows() -> AsyncIterator[Any]:
    for row in rows():
        yield row


own.evaluator("generated", scores=[exact_match], data=rows)(flaky)
own.evaluator("generated-later", scores=[exact_match], data=later_rows)(flaky)
own.evaluator("kept-here", scores=[exact_match], data=rows, distributed=False)(flaky)


@own.evaluator("attachments", data=[{"input": 1}], scores=[exact_match])
def attachments(input: Any, hooks: EvalHooks) -> Any:
    """Small and large ones; and one of the latter twice, and by a scorer, too."""
    large = sdk_app.large("large.png")
    hooks.span.log(metadata={"again": large})
    hooks.metadata["noted"] = sdk_app.large("noted.png")
    return {"small": sdk_app.image(), "large": large}


@own.evaluator("huge-attachment", data=[{"input": 1}])
def huge_attachment(input: Any) -> Any:
    return braintrust.Attachment(data=bytes(51_000_000), filename="huge", content_type="a/b")


def twin(word: str) -> Any:
    def task(input: Any) -> Any:
        return [word, input]

    return task


first.evaluator("twin", scores=[exact_match])(twin("first"))
second.evaluator("twin", scores=[exact_match])(twin("second"))


def create_app() -> Flask:
    logging.basicConfig(level=os.environ["LOG_LEVEL"])
    app = Flask(__name__)
    app.config.update(GREETING="from the application", SECRET_KEY="the secret of the tests")
    if os.environ.get("TEST_BROKER"):
        app.config["CELERY"] = {"broker_url": os.environ["TEST_BROKER"]}
        celery_init_app(app)
    braintrust.init_logger(project="the application's own", api_key=os.environ["SDK_KEY"])
    for prefix, bp in BLUEPRINTS.items():
        app.register_blueprint(bp, name=prefix, url_prefix=f"/{prefix}")

    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]

    @app.teardown_appcontext
    def tear_down(error: BaseException | None) -> None:
        if g.pop("fails_at_teardown", False):
            raise OSError("the teardown failed")

    @app.get("/page")
    def page() -> str:
        return "page"

    return app

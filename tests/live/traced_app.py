"""An application with telemetry of its own: an SDK tracer provider, an exporter, instrumentation.

Its exporter writes each span as a line of JSON to the file named by ``APP_SPANS``.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import os
import threading
from collections.abc import Sequence
from typing import Any

from flask import Flask, current_app
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

from flask_braintrust_evals import EvalsBlueprint

bp = EvalsBlueprint("evals", __name__)
tracer = trace.get_tracer("the.application")


class FileExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with open(os.environ["APP_SPANS"], "a") as file:
            for span in spans:
                context = span.get_span_context()
                assert context is not None
                facts = {
                    "name": span.name,
                    "trace_id": format_trace_id(context.trace_id),
                    "span_id": format_span_id(context.span_id),
                    "parent_id": format_span_id(span.parent.span_id) if span.parent else None,
                    "attributes": dict(span.attributes or {}),
                }
                file.write(json.dumps(facts, default=str) + "\n")
        return SpanExportResult.SUCCESS


def judged(input: Any, trace: Any) -> float:
    with tracer.start_as_current_span("in scorer"):
        pass
    names = {span.name for span in trace.get_spans()}
    return float({"task", "in task", "in thread"} <= names and "judged" not in names)


async def awaited(trace: Any) -> float:
    spans = await trace.get_spans(span_type=["llm"])
    thread = await trace.get_thread()
    return float([s.name for s in spans] == ["chat"] and thread == ["hi", "hello"])


@bp.evaluator("traced", scores=[judged, awaited])
def traced(input: Any) -> Any:
    with tracer.start_as_current_span("in task", attributes={"input": str(input)}):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(in_thread,))
        thread.start()
        thread.join()
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": '["hi"]',
        "gen_ai.output.messages": '["hello"]',
    }
    with tracer.start_as_current_span("chat", attributes=chat):
        pass
    return input


def in_thread() -> None:
    with tracer.start_as_current_span("in thread"):
        pass


@bp.evaluator("wordy")
def wordy(input: Any) -> None:
    for _ in range(38):  # more bytes than may wait to be sent
        with tracer.start_as_current_span("megabyte", attributes={"text": "x" * 900_000}):
            pass


@bp.evaluator("curious")
def curious(input: Any, hooks: Any) -> str:
    """Ask the application for a page in the name of this case, as its caller could."""
    headers = {"traceparent": f"00-{hooks.span.root_span_id}-{hooks.span.id}-01"}
    client, texts = current_app.test_client(), list[str]()
    # Without this context, of which requests from outside have nothing either.
    work = functools.partial(client.get, "/page", headers=headers)
    run = contextvars.Context().run
    thread = threading.Thread(target=lambda: texts.append(run(work).text))
    thread.start()
    thread.join()
    return texts[0]


@bp.evaluator("async-traced")
async def async_traced(input: Any) -> Any:
    async def below() -> None:
        with tracer.start_as_current_span("in coroutine", attributes={"input": str(input)}):
            await asyncio.sleep(0.001)

    await asyncio.gather(below(), below())
    return input


def create_app() -> Flask:
    if os.environ.get("APP_SPANS"):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(FileExporter()))
        trace.set_tracer_provider(provider)
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]

    @app.get("/page")
    def page() -> str:
        with tracer.start_as_current_span("in page"):
            return "page"

    return app

"""An application whose code is traced by the ``braintrust`` SDK, with a logger of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import os
import platform
import threading
from collections.abc import Iterator
from typing import Any

import braintrust
from braintrust import current_span, start_span, traced, wrap_openai
from braintrust.logger import ReadonlyAttachment
from flask import Flask
from openai import AsyncOpenAI, OpenAI
from opentelemetry import trace

from flask_braintrust_evals import EvalHooks, EvalsBlueprint

bp = EvalsBlueprint("evals", __name__)
tracer = trace.get_tracer("the.application")


@functools.cache
def openai() -> Any:
    return wrap_openai(OpenAI(**openai_options()))


@functools.cache
def async_openai() -> Any:
    return wrap_openai(AsyncOpenAI(**openai_options()))


def openai_options() -> dict[str, Any]:
    return {"api_key": "openai-key", "base_url": os.environ["OPENAI_URL"], "max_retries": 0}


@traced
def look_up(question: str) -> str:
    current_span().log(metadata={"found": question.upper()})
    with start_span("database", span_attributes={"type": "tool"}, input={"key": question}) as span:
        span.log(output=[1, 2], metrics={"rows": 2})
    return question.upper()


@traced(name="async helper")
async def async_look_up(question: str) -> str:
    await asyncio.sleep(0.001)
    current_span().log(metadata={"found": question})
    return question


@traced
def words(question: str) -> Iterator[str]:
    yield from question


def ask(question: str) -> str:
    answer = openai().chat.completions.create(
        model="small", messages=[{"role": "user", "content": question}]
    )
    return str(answer.choices[0].message.content)


def ask_streaming(question: str) -> str:
    chunks = openai().chat.completions.create(
        model="small", messages=[{"role": "user", "content": question}], stream=True
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def judged(output: Any) -> float:
    ask("is it good?")
    return 1


def sees(trace: Any) -> float:
    types = {span.span_attributes.get("type") for span in trace.get_spans()}
    return float({"llm", "tool", "function"} <= types)


@bp.evaluator("assistant", scores=[judged, sees])
def assistant(input: str, hooks: EvalHooks) -> dict[str, Any]:
    hooks.span.log(metadata={"on": "the task"})
    with tracer.start_as_current_span("opentelemetry"):
        found = look_up(input)
    return {
        "found": found,
        "words": list(words("ab")),
        "answer": ask(input),
        "streamed": ask_streaming(input),
        "exported": hooks.span.export(),
        "link": current_span().link(),
    }


@bp.evaluator("async-assistant", max_concurrency=20)
async def async_assistant(input: str) -> str:
    found = await async_look_up(input)
    answer = await async_openai().chat.completions.create(
        model="small", messages=[{"role": "user", "content": found}]
    )
    return str(answer.choices[0].message.content)


@bp.evaluator("failing")
def failing(input: str) -> None:
    with start_span("fails"):
        raise ValueError("inside of a span")


@bp.evaluator("threads")
def threads(input: str) -> None:
    with braintrust.TracedThreadPoolExecutor(2) as pool:
        concurrent.futures.wait([pool.submit(look_up, input) for _ in range(2)])
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(look_up, input))
    thread.start()
    thread.join()


@bp.evaluator("parents")
def parents(input: str) -> None:
    with start_span("first") as first:
        slug = first.export()
    start_span("below first", parent=slug).end()
    start_span("elsewhere", parent=foreign_slug()).end()


def foreign_slug() -> str:
    from braintrust.span_identifier_v3 import SpanObjectTypeV3
    from braintrust.span_identifier_v4 import SpanComponentsV4

    return str(
        SpanComponentsV4(
            object_type=SpanObjectTypeV3.PROJECT_LOGS,
            object_id="another-project",
            row_id="a" * 16,
            span_id="a" * 16,
            root_span_id="b" * 32,
        ).to_str()
    )


@bp.evaluator("attachments")
def attachments(input: str) -> None:
    current_span().log(metadata={"image": image(), "list": [image()]})


pool = concurrent.futures.ThreadPoolExecutor(2)


@bp.evaluator("executors")
async def executors(input: str) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(
        asyncio.to_thread(look_up, input),
        loop.run_in_executor(None, look_up, input),
        loop.run_in_executor(pool, look_up, input),
    )


@bp.evaluator("stored-attachment")
def stored_attachment(input: str, hooks: EvalHooks) -> Any:
    reference: Any = {
        "type": "braintrust_attachment",
        "filename": "a.png",
        "content_type": "image/png",
        "key": "key-1",
    }
    hooks.span.log(metadata={"image": ReadonlyAttachment(reference)})
    circle: list[Any] = []
    circle.append(circle)
    hooks.span.log(expected=circle)
    return {"stored": ReadonlyAttachment(reference), "new": image()}


def image() -> braintrust.Attachment:
    return braintrust.Attachment(data=b"\x89PNG", filename="a.png", content_type="image/png")


def large(name: str) -> braintrust.Attachment:
    return braintrust.Attachment(data=bytes(2_000_000), filename=name, content_type="image/png")


@bp.evaluator("large attachment")
def large_attachment(input: str, hooks: EvalHooks) -> Any:
    hooks.span.log(metadata={"logged": large("logged.png")})
    return large("returned.png")


@bp.evaluator("large attachment, blocking", blocking=True)
def blocking_attachment(input: str, hooks: EvalHooks) -> Any:
    hooks.span.log(metadata={"logged": large("logged.png")})  # in a thread of its own
    return large("returned.png")


@bp.evaluator("feedback")
def feedback(input: str) -> None:
    current_span().log_feedback(scores={"liked": 1}, comment="nice")


def create_app() -> Flask:
    # The OpenAI client asks for this with its first request, which starts a subprocess: a crowd of
    # first requests at once would start a crowd of them.
    platform.platform()
    # What applications do, with the application's own key.
    key = os.environ.get("SDK_KEY") or None
    braintrust.init_logger(project="the application's own", api_key=key)
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")

    @app.get("/page")
    def page() -> str:
        return look_up("outside of any run")

    return app

"""The application whose page the browser opens."""

from __future__ import annotations

import os
import threading
from typing import Any, Optional

from flask import Flask
from opentelemetry import trace
from pydantic import BaseModel, Field
from pydantic_core import to_jsonable_python

from flask_braintrust_evals import Classification, EvalHooks, EvalsBlueprint, Score
from tests.example_model import EXAMPLE_MODEL

bp = EvalsBlueprint("evals", __name__)

HOSTILE = {
    "script": "<script>document.title = 'owned'</script>"
    "<img src=x onerror=\"document.title='owned'\">",
    "long": "x" * 300_000,
    "right to left": "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "nul": "a\u0000b\u2028c\ud800",
    "formula": '=HYPERLINK("http://evil.example")',
    "prototype": {"__proto__": {"polluted": True}, "constructor": None},
}
PROMPT = {
    "prompt": {
        "type": "chat",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "{{input}}"},
        ],
    },
    "options": {"model": EXAMPLE_MODEL, "params": {"temperature": 0, "stop": ["x"]}},
}


def exact_match(output: Any, expected: Any) -> float | None:
    return None if expected is None else float(output == expected)


def length(output: Any) -> Score:
    return Score("length", min(1.0, len(str(output)) / 20), {"characters": len(str(output))})


@bp.evaluator(
    "echo",
    scores=[exact_match, length],
    data=[{"input": f"own {n}", "expected": f"own {n}"} for n in range(4)],
    parameters={
        "suffix": {"type": "string", "default": "", "description": "Put behind every output"},
        "times": {"type": "integer", "default": 1, "minimum": 1, "maximum": 3},
        "shout": {"type": "boolean", "default": False},
        "tone": {"type": "string", "enum": ["plain", "warm"], "default": "plain"},
        "extra": {"type": "object", "default": {"a": 1}},
        "model": {"type": "model", "default": EXAMPLE_MODEL},
        "prompt": {
            "type": "prompt",
            "default": {
                "prompt": {"type": "chat", "messages": [{"role": "user", "content": "{{input}}"}]},
                "options": {"model": EXAMPLE_MODEL},
            },
        },
    },
)
def echo(input: Any, hooks: EvalHooks) -> Any:
    """Returns its input."""
    if input == "fail":
        raise ValueError("<b>no</b> such thing")
    if input == "parameters":
        return dict(hooks.parameters, prompt=None)
    said = f"{input}{hooks.parameters.suffix}" * hooks.parameters.times
    return said.upper() if hooks.parameters.shout else said


class Rule(BaseModel):
    word: str = Field(description="What to look for")
    weight: float = 1.0


class Address(BaseModel):
    city: str
    zip: Optional[str] = None  # noqa: UP045 - as many write it


class Everything(BaseModel):
    greeting: str = Field(description="First word of every answer")
    signature: str | None = None
    times: int = Field(default=1, ge=1, le=3)
    temperature: float | None = None
    stop_words: list[str] = ["and", "or"]
    rules: list[Rule] = []
    address: Address
    weights: dict[str, int] = {"a": 1}
    size: int | str = 3
    anything: Any = None


@bp.evaluator("forms", parameters=Everything)
def forms(input: Any, hooks: EvalHooks) -> Any:
    """Returns its parameters."""
    return to_jsonable_python(dict(hooks.parameters))


@bp.evaluator("prompts", parameters={"main": {"type": "prompt", "default": PROMPT}})
def prompts(input: Any, hooks: EvalHooks) -> Any:
    """Returns the call of its prompt."""
    call = hooks.parameters.main.build(input=input)
    del call["span_info"]
    return call


@bp.evaluator("hostile", classifiers=[lambda output: Classification(id="<i>label</i>")])
def hostile(input: str) -> Any:
    return HOSTILE[input]


@bp.evaluator("streaming", scores=[exact_match])
def streaming(input: str, hooks: EvalHooks) -> str:
    for word in ("some ", "words ", "first"):
        hooks.report_progress({"event": "text_delta", "data": word})
    released.wait(20)
    return "all of it"


@bp.evaluator("patient", max_concurrency=2)
def patient(input: Any, hooks: EvalHooks) -> Any:
    """Waits until it is cancelled, but for the first case."""
    if input != 0:
        hooks.cancel_event.wait(20)
    return input


flaky_fails = threading.Event()
flaky_fails.set()


@bp.evaluator("flaky", scores=[exact_match])
def flaky(input: Any, hooks: EvalHooks) -> Any:
    """Fails on "flaky" until it is mended."""
    if input == "flaky" and flaky_fails.is_set():
        raise ValueError("flaky")
    return [input, dict(hooks.metadata)]


@bp.evaluator("many", max_concurrency=20)
def many(input: Any) -> Any:
    return input


tracer = trace.get_tracer("the.application")


def precise(output: Any) -> Score:
    """Fails on all but the first question."""
    if not str(output).startswith("1"):
        raise RuntimeError("no reference for this answer\nask the editors")
    return Score("precise", 0.988, {"reason": "close to the reference"})


@bp.evaluator(
    "agent",
    scores=[exact_match, precise],
    classifiers=[lambda output: Classification(id="short", name="size")],
)
def agent(input: str, hooks: EvalHooks) -> str:
    """Asks a model that is none, and a database."""
    hooks.report_progress({"event": "console", "data": f"asked: {input}"})
    hooks.tags = ["odd" if int(input[0]) % 2 else "even"]
    hooks.metadata["language"] = "German" if input[0] in "37" else "English"
    with tracer.start_as_current_span("SELECT articles", attributes={"db.system": "sqlite"}):
        pass
    messages = [
        {"role": "system", "content": "Be <b>brief</b>."},
        {"role": "user", "content": input},
    ]
    with hooks.span.start_span("chat", type="llm", input=messages) as span:
        answer = {"role": "assistant", "content": f"{input}!"}
        span.log(output=[{"message": answer}], metadata={"model": "example-model"})
        span.log(metrics={"prompt_tokens": 1200, "completion_tokens": 34, "estimated_cost": 0.002})
        with span.start_span("look up", type="tool", input={"word": input}) as tool:
            if input.startswith("5"):
                raise KeyError(input)
            tool.log(output=["x" * 60_000, "short"])
    return input


may_go_on = threading.Event()


@bp.evaluator("slowly")
def slowly(input: str, hooks: EvalHooks) -> str:
    hooks.report_progress({"event": "text_delta", "data": "some words"})
    may_go_on.wait(20)
    return "the end"


def go_on() -> str:
    may_go_on.set()
    return "gone on"


released = threading.Event()


def release() -> str:
    released.set()
    return "released"


def mend() -> str:
    flaky_fails.clear()
    return "mended"


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_PLAYGROUND"] = True
    app.config["BRAINTRUST_EVALS_TRACER_PROVIDER"] = True
    app.config["BRAINTRUST_EVALS_AUTH"] = os.environ.get("AUTH", "none")
    app.register_blueprint(bp, url_prefix="/evals")
    app.register_blueprint(bp, url_prefix="/other", name="other")
    app.add_url_rule("/release", view_func=release)
    app.add_url_rule("/go-on", view_func=go_on)
    app.add_url_rule("/mend", view_func=mend)
    return app

"""The application whose local page is measured: cases have traces as an agent would make them."""

from __future__ import annotations

from typing import Any

from flask import Flask

from flask_braintrust_evals import EvalHooks, EvalsBlueprint, Score

bp = EvalsBlueprint("evals", __name__)


def exact(output: Any, expected: Any) -> bool:
    """Return whether the output is the expected one."""
    return bool(output == expected)


def length(output: str) -> Score:
    """Return a score that differs from case to case."""
    return Score("length", len(output) % 11 / 10, {"characters": len(output)})


@bp.evaluator("agent", scores=[exact, length], max_concurrency=20)
def agent(input: str, hooks: EvalHooks) -> str:
    """Record what an agent would: a search, a query below it, and a call of a model."""
    with hooks.span.start_span("search", type="tool", input={"query": input}) as span:
        span.start_span("SELECT", metadata={"db.statement": "SELECT * FROM articles"}).end()
        span.log(output=[f"an article about {input} " * 5] * 4)
    messages = [
        {"role": "system", "content": "Answer in one sentence. " * 20},
        {"role": "user", "content": f"{input} " * 20},
    ]
    with hooks.span.start_span("chat", type="llm", input=messages) as span:
        span.log(output=[{"message": {"role": "assistant", "content": f"{input} " * 30}}])
        span.log(metrics={"prompt_tokens": 120, "completion_tokens": 30, "estimated_cost": 0.001})
    return f"The answer to {input} is this one." if len(input) % 3 else input


def create_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_PLAYGROUND"] = True
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.config["BRAINTRUST_EVALS_MAX_VALUES"] = 1_000_000
    app.register_blueprint(bp, url_prefix="/evals")
    return app

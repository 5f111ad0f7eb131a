"""The application that ``benchmarks/hostile.py`` attacks."""

from __future__ import annotations

import time
from typing import Any

from flask import Flask  # noqa: TID251
from pydantic import BaseModel

from flask_braintrust_evals import EvalHooks, EvalsBlueprint

BEAT = 0.05
"""Seconds of each case of ``honest``."""
MAIL = r"^([a-z0-9]+[.-]?)+@example[.]com$"

bp = EvalsBlueprint("evals", __name__)


class Texts(BaseModel):
    value: list[str] = []


class Either(BaseModel):
    value: list[str | bool | dict[str, int] | Texts] = []


@bp.evaluator("honest", max_concurrency=1)
def honest(input: Any) -> Any:
    time.sleep(BEAT)
    return input


@bp.evaluator("echo", scores=[lambda output: 1.0])
def echo(input: Any) -> Any:
    return input


@bp.evaluator("wait", scores=[lambda output: 1.0])
def wait(input: Any) -> Any:
    time.sleep(BEAT)
    return input


@bp.evaluator(
    "typed",
    parameters={
        "texts": Texts,
        "either": Either,
        "array": {"type": "array", "items": {"type": "string"}, "default": []},
        "any": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
        | {"type": "array", "default": []},
        "unique": {"type": "array", "uniqueItems": True, "default": []},
        "mail": {"type": "string", "pattern": MAIL, "default": "a@example.com"},
        "word": {"type": "string", "pattern": "^(a|aa)+$", "default": "a"},
    },
)
def typed(input: Any) -> Any:
    return input


@bp.evaluator("ask", parameters={"prompt": {"type": "prompt"}})
def ask(input: Any, hooks: EvalHooks) -> Any:
    return len(str(hooks.parameters["prompt"].build(input=input)))


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app

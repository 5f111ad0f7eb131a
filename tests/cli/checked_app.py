"""An application to check: evaluators with cases of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from flask import Flask

from flask_braintrust_evals import EvalsBlueprint

bp = EvalsBlueprint("evals", __name__)


@bp.evaluator("long", data=[{"input": n} for n in range(100)], max_concurrency=2)
def long(input: Any) -> Any:
    time.sleep(0.4)
    return input


@bp.evaluator("quick", data=[{"input": n} for n in range(3)])
def quick(input: Any) -> Any:
    return input


@bp.evaluator("bare")
def bare(input: Any) -> Any:
    return input


def breaking_off() -> Iterator[dict[str, Any]]:
    yield {"input": 1}
    raise OSError("the disk is gone")


@bp.evaluator("failing", data=breaking_off)
def failing(input: Any) -> Any:
    return input


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app

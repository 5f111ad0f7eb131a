"""The application that serves the evaluators of the benchmark."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from flask import Flask  # noqa: TID251

from benchmarks.scenarios import EMPTY_CONCURRENCY, WAIT, WAIT_CONCURRENCY
from flask_braintrust_evals import EvalsBlueprint

bp = EvalsBlueprint("evals", __name__)


def one(output: Any) -> float:
    return 1.0


@bp.evaluator("empty", scores=[one], max_concurrency=EMPTY_CONCURRENCY)
def empty(input: Any) -> Any:
    return input


@bp.evaluator("sync", scores=[one], max_concurrency=WAIT_CONCURRENCY)
def wait(input: Any) -> Any:
    time.sleep(WAIT)
    return input


@bp.evaluator("async", scores=[one], max_concurrency=WAIT_CONCURRENCY)
async def wait_async(input: Any) -> Any:
    await asyncio.sleep(WAIT)
    return input


def create_app() -> Flask:
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app

"""The application that serves the evaluators of the benchmark."""

from __future__ import annotations

import asyncio
import gc
import importlib
import time
from typing import Any

from flask import Flask  # noqa: TID251

from benchmarks.scenarios import EMPTY_CONCURRENCY, WAIT, WAIT_CONCURRENCY
from flask_braintrust_evals import EvalHooks, EvalsBlueprint

MAX_HOLD = 60.0
"""Seconds after which the tasks end that wait for the end of their run."""
COMPUTE_STEPS = 300_000

bp = EvalsBlueprint("evals", __name__)


def one(output: Any) -> float:
    return 1.0


@bp.evaluator("empty", scores=[one], max_concurrency=EMPTY_CONCURRENCY)
def empty(input: Any) -> Any:
    return input


@bp.evaluator("compute", scores=[one], max_concurrency=EMPTY_CONCURRENCY)
def compute(input: Any) -> Any:
    """Use the processor for about five milliseconds."""
    return input if sum(range(COMPUTE_STEPS)) else None


@bp.evaluator("sync", scores=[one], max_concurrency=WAIT_CONCURRENCY)
def wait(input: Any) -> Any:
    time.sleep(WAIT)
    return input


@bp.evaluator("async", scores=[one], max_concurrency=WAIT_CONCURRENCY)
async def wait_async(input: Any) -> Any:
    await asyncio.sleep(WAIT)
    return input


@bp.evaluator("hold", max_concurrency=WAIT_CONCURRENCY)
def hold(input: Any, hooks: EvalHooks) -> Any:
    """Wait until the run is cancelled."""
    hooks.cancel_event.wait(MAX_HOLD)
    return input


@bp.evaluator("hold-async", max_concurrency=WAIT_CONCURRENCY)
async def hold_async(input: Any) -> Any:
    await asyncio.sleep(MAX_HOLD)
    return input


@bp.evaluator("large", max_concurrency=2)
def large(input: int) -> str:
    """Return ``input`` bytes."""
    return "x" * input


@bp.evaluator("failing", scores=[one])
def failing(input: Any) -> Any:
    raise ValueError("as it should")


def inventory() -> dict[str, int]:
    """Return the number of greenlets in this process."""
    gc.collect()
    greenlet: Any = importlib.import_module("greenlet").greenlet
    living = [each for each in gc.get_objects() if isinstance(each, greenlet) and not each.dead]
    return {"greenlets": len(living)}


def create_app() -> Flask:
    app = Flask(__name__)
    # All clients of a benchmark are one caller.
    for quota in ("PER_CALLER", "PER_ORG"):
        app.config[f"BRAINTRUST_EVALS_MAX_RUNS_{quota}"] = 1000
    app.register_blueprint(bp, url_prefix="/evals")
    app.add_url_rule("/inventory", view_func=inventory)
    return app

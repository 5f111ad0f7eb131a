"""The application that the live tests serve. Its tasks talk to the test by way of the stand-in.

A task that calls ``control("x")`` shows up in the stand-in's journal as ``GET /control/x``, and
waits there for as long as the test holds a gate on that path.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import logging
import math
import os
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from subprocess import PIPE
from typing import Any

import requests
from flask import Blueprint, Flask, current_app

from flask_braintrust_evals import Classification, EvalHooks, EvalsBlueprint, Score

bp = EvalsBlueprint("evals", __name__)


def control(path: str) -> None:
    with suppress(requests.RequestException):
        requests.get(f"{os.environ['CONTROL_URL']}/control/{path}", timeout=20)


def exact_match(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def topic(output: Any) -> Classification | None:
    return Classification(id="object") if isinstance(output, dict) else None


@bp.evaluator("echo", scores=[exact_match], classifiers=[topic], project="echo project")
def echo(input: Any) -> Any:
    return input


@bp.evaluator("gated", scores=[exact_match])
def gated(input: Any, hooks: EvalHooks) -> Any:
    hooks.report_progress({"event": "text_delta", "data": "waiting"})
    control(f"gated/{input}")
    return input


@bp.evaluator("async-echo", scores=[exact_match])
async def async_echo(input: Any, hooks: EvalHooks) -> Any:
    hooks.report_progress({"event": "text_delta", "data": "thinking"})
    await asyncio.sleep(0.01)
    return input


@bp.evaluator("async-program", scores=[exact_match])
async def async_program(input: Any) -> str:
    child = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    output, _ = await child.communicate(str(input).encode())
    return output.decode()


@bp.evaluator("flaky", scores=[exact_match])
def flaky(input: Any) -> Any:
    if input == "bad":
        raise ValueError("first line\r\nsecond\rthird\nfourth")
    if input == "exit":
        raise SystemExit(3)
    return input


def broken_scorer(output: Any) -> float:
    raise RuntimeError("scorer out of order")


async def half(output: Any) -> Score:
    return Score("half", 0.5, {"why": "always"})


@bp.evaluator("scored", scores=[exact_match, broken_scorer, half])
def scored(input: Any) -> Any:
    return input


@bp.evaluator("patient", max_concurrency=2)
def patient(input: Any, hooks: EvalHooks) -> None:
    """Runs until its run is cancelled."""
    control(f"patient/{input}/started")
    if hooks.cancel_event.wait(20):
        control(f"patient/{input}/cancelled")


@bp.evaluator("async-patient")
async def async_patient(input: Any) -> None:
    try:
        await asyncio.to_thread(control, f"async-patient/{input}/started")
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        # All coroutines share the loop's thread: even a last request must not block it.
        asyncio.get_running_loop().run_in_executor(
            None, control, f"async-patient/{input}/cancelled"
        )
        raise


pool = ThreadPoolExecutor(4)


def slowly(input: Any) -> Any:
    time.sleep(0.01)
    return input


@bp.evaluator("threads-of-coroutines", max_concurrency=20)
async def threads_of_coroutines(input: Any) -> Any:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, slowly, await asyncio.to_thread(slowly, input))


@bp.evaluator("unruly", scores=[exact_match])
def unruly(input: Any) -> Any:
    """Does to its process what no task should."""
    if input == "greenlet exit":
        raise __import__("greenlet").GreenletExit
    if input == "gevent time-out":
        raise __import__("gevent").Timeout(1)
    if input == "interrupt":
        raise KeyboardInterrupt
    if input == "exit":
        sys.exit("bye")
    if input == "recursion":
        return unruly([unruly(input)])
    if input == "memory":
        raise MemoryError
    if input == "print":
        print("from a task", flush=True)  # noqa: T201
    if input == "directory":
        os.chdir("/")
    if input == "environment":
        os.environ["BRAINTRUST_APP_URL"] = "http://127.0.0.1:9"
    if input == "generator exit":
        raise GeneratorExit
    if input == "group":
        raise BaseException("at the very top")
    return input


@bp.evaluator("large")
def large(input: int) -> str:
    return "x" * input


@bp.evaluator("context")
def context(input: Any) -> str:
    return str(current_app.config["GREETING"])


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Opaque:
    def __str__(self) -> str:
        return "opaque"


VALUES: dict[str, Any] = {
    "nan": [math.nan, math.inf, -math.inf, None],
    "bytes": b"caf\xc3\xa9",
    "binary": b"\xff\x00",
    "set": {3, 1, 2},
    "dataclass": Point(1, 2.5),
    "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
    "decimal": decimal.Decimal("1.10"),
    "uuid": uuid.UUID(int=5),
    "object": Opaque(),
    "surrogate": "a\ud800b",
    "lines": "a\r\nb\rc\nd\u2028e\u0085f",
    "generator": (n for n in range(3)),
}


@bp.evaluator("values")
def values(input: str) -> Any:
    return VALUES[input]


@bp.evaluator(
    "parameters",
    parameters={
        "greeting": {"type": "string", "default": "hello", "description": "First word"},
        "times": {"type": "integer", "default": 1, "minimum": 1},
    },
)
def with_parameters(input: str, hooks: EvalHooks) -> str:
    return " ".join([hooks.parameters.greeting] * hooks.parameters["times"] + [input])


other = Blueprint("other", __name__)


@other.get("/other")
def other_page() -> str:
    return "other"


def create_app() -> Flask:
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"))
    app = Flask(__name__)
    app.config["GREETING"] = "from the application"
    app.register_blueprint(bp, url_prefix="/evals")
    app.register_blueprint(other)
    return app

"""The application of tests with servers and workers that die, for gunicorn and ``celery -A``.

Its tasks write what they do to a journal, which all processes and the test share.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery import Celery, Task
from flask import Flask

from flask_braintrust_evals import EvalHooks, EvalsBlueprint
from flask_braintrust_evals.distribution.owner import supervision

LONG = 60.0
"""Seconds after which a run fails that would never end."""
FOLDER = Path(os.environ["TEST_FOLDER"])
VERSION = os.environ.get("TEST_VERSION", "")
bp = EvalsBlueprint("evals", __name__)


def note(*words: object) -> None:
    """Add a line to the journal."""
    with (FOLDER / "journal").open("a") as journal:
        journal.write(" ".join(map(str, words)) + "\n")


def is_first(name: object) -> bool:
    """Return whether no process has asked for this name before."""
    try:
        (FOLDER / f"first-{name}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def same(output: Any, expected: Any) -> bool:
    return bool(output == expected)


@bp.evaluator("echo", scores=[same], timeout=LONG)
def echo(input: Any) -> Any:
    return input


@bp.evaluator("traced", scores=[same], timeout=LONG)
def traced(input: Any, hooks: EvalHooks) -> Any:
    with hooks.span.start_span("look up", type="tool", input=input) as span:
        if input == "bad":
            raise ValueError("no good")
        span.log(output=os.getpid())
    return input


@bp.evaluator("nap", scores=[same], timeout=LONG)
def nap(input: Any) -> Any:
    note("nap", input)
    time.sleep(0.05)
    return input


@bp.evaluator("dies-once", scores=[same], timeout=LONG)
def dies_once(input: Any) -> Any:
    note("dies-once", input)
    if str(input).startswith("die") and is_first(input):
        die()
    return input


@bp.evaluator("poison", scores=[same], timeout=LONG)
def poison(input: Any) -> Any:
    note("poison", input)
    if input == "poison":
        die()
    time.sleep(0.02)
    return input


@bp.evaluator("gated", scores=[same], timeout=LONG)
def gated(input: Any, hooks: EvalHooks) -> Any:
    """Returns once there is a file ``open``, or the run is cancelled."""
    note("started", input)
    hooks.report_progress({"event": "text_delta", "data": "waiting"})
    ends = time.monotonic() + LONG
    while time.monotonic() < ends and not (FOLDER / "open").exists():
        if hooks.cancel_event.wait(0.02):
            note("cancelled", input)
            return None
    return input


bp.evaluator("gated-with-timeout", timeout=1.5)(gated)


@bp.evaluator("async-patient")
async def async_patient(input: Any) -> None:
    note("started", input)
    try:
        await asyncio.sleep(LONG)
    except asyncio.CancelledError:
        note("cancelled", input)
        raise


@bp.evaluator("large-output", scores=[same], timeout=LONG)
def large_output(input: int) -> str:
    """Returns a text that is as long when it is compressed."""
    return random.Random(1).randbytes(input // 2).hex()


@bp.evaluator("foreign", data=[{"input": 1}, {"input": {"pair": (1, 2)}}, {"input": 3}])
def foreign(input: Any) -> Any:
    return input


def numbers() -> Iterator[dict[str, int]]:
    """Ten thousand cases, each of which is noted when it is read."""
    for number in range(10_000):
        if number % 10 == 0:
            note("read", number)
        yield {"input": number}


bp.evaluator("numbers", data=numbers)(echo)


@bp.evaluator("large-numbers", data=numbers)
def large_numbers(input: int) -> str:
    return "x" * 20_000


if VERSION == "other":

    @bp.evaluator("versioned")
    def versioned(input: Any) -> Any:
        return [input, "of another version"]
else:

    @bp.evaluator("versioned")
    def versioned(input: Any) -> Any:
        return input


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "of the tests"
    app.config["BRAINTRUST_EVALS_EXECUTOR"] = "celery"
    app.config["BRAINTRUST_EVALS_PLAYGROUND"] = True

    class TaskInContext(Task):  # type: ignore[misc]
        def __call__(self, *args: Any, **options: Any) -> Any:
            with app.app_context():
                return super().__call__(*args, **options)

    celery = Celery("site", task_cls=TaskInContext, broker=os.environ["TEST_BROKER"])
    # Celery waits one second longer before each further attempt to connect.
    celery.conf.broker_connection_retry_on_startup = True
    app.extensions["celery"] = celery
    app.register_blueprint(bp, url_prefix="/evals")

    @app.get("/resources")
    def resources() -> dict[str, int]:
        """What this process holds."""
        real = len(os.listdir("/proc/self/task"))
        return {
            "pid": os.getpid(),
            "threads": real,
            "known threads": threading.active_count(),
            "files": len(os.listdir("/proc/self/fd")),
            "greenlets": _greenlets(),
        }

    @app.post("/refused-for/<int:seconds>")
    def refused_for(seconds: int) -> str:
        """Set for how long refused cases are sent again."""
        supervision.REFUSED_SECONDS = seconds
        return ""

    @app.get("/health")
    def health() -> str:
        return "well"

    return app


def _greenlets() -> int:
    greenlet: Any = importlib.import_module("greenlet").greenlet
    gc.collect()
    return sum(isinstance(each, greenlet) and not each.dead for each in gc.get_objects())


if "TEST_WORKER" in os.environ:
    celery_app = create_app().extensions["celery"]

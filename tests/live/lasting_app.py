"""An application whose tasks and data do not end by themselves soon."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from flask import Flask

from flask_braintrust_evals import EvalsBlueprint

LONG = 60.0
ONE = [{"input": 1}]

bp = EvalsBlueprint("evals", __name__)


@bp.evaluator("large", max_concurrency=2)
def large(input: Any) -> str:
    """Fills the connection of a client that does not read."""
    time.sleep(0.01)
    return "x" * 200_000


bp.evaluator("large-with-timeout", max_concurrency=2, timeout=1.5)(large)


@bp.evaluator("echo")
def echo(input: Any) -> Any:
    return input


def blocking_data() -> Any:
    time.sleep(LONG)


async def async_data() -> Any:
    await asyncio.sleep(LONG)


def blocking_generator() -> Iterator[Any]:
    yield from ONE
    time.sleep(LONG)


async def async_generator() -> AsyncIterator[Any]:
    yield ONE[0]
    await asyncio.sleep(LONG)


for name, data in {
    "data-function": blocking_data,
    "async-data-function": async_data,
    "data-generator": blocking_generator,
    "async-data-generator": async_generator,
}.items():
    bp.evaluator(name, data=data)(echo)


@bp.evaluator("stubborn-coroutine", data=ONE)
async def stubborn(input: Any) -> None:
    ends = time.monotonic() + LONG
    while time.monotonic() < ends:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            continue


@bp.evaluator("plain-task", data=ONE)
def plain(input: Any) -> None:
    time.sleep(LONG)


@bp.evaluator("spinning")
def spin(input: Any) -> None:
    """Lets nothing else of its process run."""
    ends = time.monotonic() + LONG
    while time.monotonic() < ends:
        pass


def create_app() -> Flask:
    logging.basicConfig(level=logging.INFO)
    app = Flask(__name__)
    app.register_blueprint(bp, url_prefix="/evals")
    return app

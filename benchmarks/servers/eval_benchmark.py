"""The same evaluators for the official Python dev server, which runs in another environment."""

import asyncio
import time
from typing import Any

from braintrust import Eval

WAIT = 0.05
EMPTY_CONCURRENCY = 10
WAIT_CONCURRENCY = 100


def one(input: Any, output: Any, expected: Any) -> float:
    return 1.0


def empty(input: Any, hooks: Any) -> Any:
    return input


def wait(input: Any, hooks: Any) -> Any:
    time.sleep(WAIT)
    return input


async def wait_async(input: Any, hooks: Any) -> Any:
    await asyncio.sleep(WAIT)
    return input


Eval("empty", data=[], task=empty, scores=[one], max_concurrency=EMPTY_CONCURRENCY)
Eval("sync", data=[], task=wait, scores=[one], max_concurrency=WAIT_CONCURRENCY)
Eval("async", data=[], task=wait_async, scores=[one], max_concurrency=WAIT_CONCURRENCY)

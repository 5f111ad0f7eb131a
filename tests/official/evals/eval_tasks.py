"""Evaluators whose tasks use hooks, fail, take their time, and report progress.

A task that calls ``control("x")`` shows up in the stand-in's journal as ``GET /control/x``, and
waits there for as long as a test holds a gate on that path.
"""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

import asyncio
import dataclasses
import datetime
import decimal
import math
import os
import threading
from contextlib import suppress
from typing import Any

import requests
from braintrust import Eval
from pydantic import BaseModel


def control(path: str) -> None:
    with suppress(requests.RequestException):
        requests.get(f"{os.environ['CONTROL_URL']}/control/{path}", timeout=20)


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


# --- Plain, async, and failing ---


def echo(input: Any, hooks: Any) -> Any:
    return input


async def async_echo(input: Any, hooks: Any) -> Any:
    await asyncio.sleep(0)
    return input


def alone(input: Any) -> Any:
    return input


def flaky(input: Any, hooks: Any) -> Any:
    hooks.report_progress(progress("text_delta", "started"))
    if input == "bad":
        hooks.tags.append("tagged before it failed")
        raise ValueError("first line\nsecond line")
    return input


async def async_flaky(input: Any, hooks: Any) -> Any:
    return flaky(input, hooks)


Eval("echo", data=[{"input": "of the evaluator"}], task=echo, scores=[exact])
Eval("async echo", data=[], task=async_echo, scores=[exact])
Eval("one argument", data=[], task=alone, scores=[exact])
Eval("flaky", data=[], task=flaky, scores=[exact])
Eval("async flaky", data=[], task=async_flaky, scores=[exact])


# --- Progress ---


def progress(event: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"format": "code", "output_type": "completion", "event": event, "data": data, **more}


def reporting(input: list[dict[str, Any]], hooks: Any) -> Any:
    for event in input:
        hooks.report_progress(event)
    return "done"


async def async_reporting(input: list[dict[str, Any]], hooks: Any) -> Any:
    for event in input:
        hooks.report_progress(event)
        await asyncio.sleep(0)
    return "done"


Eval("reporting", data=[], task=reporting, scores=[exact])
Eval("async reporting", data=[], task=async_reporting, scores=[exact])


# --- Hooks ---


def hooked(input: Any, hooks: Any) -> Any:
    seen = {
        "expected": hooks.expected,
        "metadata": dict(hooks.metadata),
        "tags": list(hooks.tags),
        "trial_index": hooks.trial_index,
    }
    hooks.metadata["added"] = True
    hooks.tags.append("added")
    return seen


def retagged(input: Any, hooks: Any) -> Any:
    hooks.tags = input
    return hooks.tags


def shown(metadata: Any, tags: Any) -> Any:
    return {"score": 1, "metadata": {"metadata": metadata, "tags": tags}}


def spanned(input: Any, hooks: Any) -> Any:
    hooks.span.log(metadata={"from": "hooks.span"}, metrics={"pieces": 3})
    return input


def told(input: Any, hooks: Any) -> Any:
    hooks.meta(told=True)
    return hooks.metadata


def as_dict(input: Any, hooks: Any) -> Any:
    return [hooks["metadata"], hooks.get("expected"), hooks["trial_index"]]


Eval("hooked", data=[], task=hooked, scores=[shown])
Eval("retagged", data=[], task=retagged, scores=[shown])
Eval("spanned", data=[], task=spanned, scores=[exact])
Eval("told", data=[], task=told, scores=[exact])
Eval("hooks as dict", data=[], task=as_dict, scores=[exact])


# --- Trials, concurrency, time ---


def trial(input: Any, hooks: Any) -> Any:
    return hooks.trial_index


def stepped(input: Any, hooks: Any) -> Any:
    control(f"start/{input}")
    control(f"end/{input}")
    return input


class Crowd:
    """Counts how many are inside at a time, and the most that ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = self.most = 0

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1


pair, crowd = Crowd(), Crowd()
opened = asyncio.Event()


async def in_pairs(input: Any, hooks: Any) -> Any:
    pair.enter()
    await asyncio.to_thread(control, "pairs")
    pair.leave()
    return pair.most


async def paused(input: list[dict[str, Any]], hooks: Any) -> Any:
    for event in input:
        hooks.report_progress(event)
    await asyncio.to_thread(control, "pairs")


async def crowded(input: Any, hooks: Any) -> Any:
    """All stay inside until the first one has been let go."""
    crowd.enter()
    hooks.report_progress(progress("text_delta", "inside"))
    if input == 0:
        await asyncio.to_thread(control, "crowd")
        opened.set()
    await opened.wait()
    crowd.leave()
    return crowd.most


async def late(input: Any, hooks: Any) -> Any:
    if input == "quick":
        return input
    try:
        await asyncio.sleep(20)
    finally:
        control(f"told/{hooks.cancel_event.is_set()}")


def waiting(input: Any, hooks: Any) -> Any:
    cancelled = hooks.cancel_event.wait(1)
    control(f"cancelled/{cancelled}")
    return cancelled


Eval("trials", data=[], task=trial, scores=[exact], trial_count=3)
Eval("stepped", data=[], task=stepped, scores=[exact])
Eval("in pairs", data=[], task=in_pairs, scores=[exact], max_concurrency=2)
Eval("paused", data=[], task=paused, scores=[exact])
Eval("crowded", data=[], task=crowded, scores=[exact])
Eval("late", data=[], task=late, scores=[exact], timeout=0.5)
Eval("waiting", data=[], task=waiting, scores=[exact], timeout=0.2)


# --- Outputs ---


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Answer(BaseModel):
    text: str


VALUES: dict[str, Any] = {
    "text": "é\u2028\n\r\n",
    "nested": {"a": [1, 2.5, None, True, {"b": "c"}]},
    "nan": [math.nan, math.inf, None],
    "bytes": b"caf\xc3\xa9",
    "set": {1},
    "dataclass": Point(1, 2.5),
    "model": Answer(text="yes"),
    "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
    "decimal": decimal.Decimal("1.10"),
}


def value(input: Any, hooks: Any) -> Any:
    return VALUES[input]


Eval("values", data=[], task=value, scores=[exact])


# --- Experiments ---


Eval(
    "described",
    data=[],
    task=echo,
    scores=[exact],
    experiment_name="of the evaluator",
    metadata={"model": "m"},
    tags=["nightly"],
    description="What it is for",
    is_public=True,
)
Eval("based", data=[], task=echo, scores=[exact], base_experiment_name="earlier")
Eval("of a project", data=[], task=echo, scores=[exact], project_id=os.environ.get("PROJECT_ID"))

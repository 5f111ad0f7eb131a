"""Fixtures of the engine's tests."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator

import pytest

from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from tests.support import PATIENCE, eventually

from .support import Spans


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def tracing(spans: Spans) -> EvalTracer:
    return EvalTracer(
        spans.tracer,
        attributes={"braintrust.parent": "playground_id:p"},
        span_attributes={"generation": 7},
    )


@pytest.fixture(autouse=True)
def no_worker_stays_behind() -> Iterator[None]:
    """Every worker of a run exits once the run has ended and its tasks have returned."""
    before = {*threading.enumerate()}  # those of other rooms' tests may still deliver spans
    yield
    for thread in {*threading.enumerate()} - before:
        if thread.name.startswith("eval-"):
            eventually(functools.partial(_joined, thread))
            assert not thread.is_alive(), f"{thread.name} is still there"


def _joined(thread: threading.Thread) -> bool:
    """Wait for a thread; return whether that was possible."""
    try:
        thread.join(PATIENCE)
    except RuntimeError:  # it is about to start
        return False
    return True

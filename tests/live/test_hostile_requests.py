"""No single request stops the others: a worker answers meanwhile, and refuses or serves it.

What exactly others feel, and how much memory each takes, is measured in ``benchmarks/hostile.py``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from benchmarks.hostile_kinds import BODIES, LARGEST, Target, post, run
from benchmarks.machine import family, held_memory, peak_memory
from tests.server import Client, Gunicorn
from tests.standin import StandIn

from .conftest import environ

pytestmark = pytest.mark.live

PROC = Path("/proc")

MEMORY = 10 * LARGEST
"""Bytes by which the server's memory may grow: ten times the largest body that is allowed."""
TAKES_MEMORY = (
    "one text of 8 MB",
    "one text of 8 MB, escaped",
    "one text of 8 MB, one wide character",
    "20 trials of one text of 8 MB",
    "a case's metadata of as many",
    "names, as many as are allowed",
)
HEALTHY = 3.0
"""Seconds for a health check on a busy machine; without bounds, many of these take far longer."""

STATUSES = {
    "a body above the limit": "413",
    "empty lists, all that fit": "413",
    "wrong tags, all that fit": "413",
    "wrong tags, as many as are allowed": "400",
    "names, as many as are allowed": "200",
    "a case's metadata of as many": "200",
    "a case's tags of as many": "400",
    "100,001 cases": "400",
    "a name of 8 MB": "400",
    "one level too many": "400",
    "wrong items for a union": "400",
    "wrong items for its anyOf": "400",
    "right items for a JSON Schema": "200",
    "unique objects": "200",
    "a text for a pattern of repeats": "400",
    "a text for a pattern of choices": "400",
    "a prompt of loops": "200",
    "a prompt that searches 8 MB": "200",
    "a prompt of 1,900 tags": "200",
    "a prompt of nested sections": "200",
}


@pytest.fixture(scope="module")
def server(shared_cloud: StandIn) -> Iterator[Gunicorn]:
    app = "benchmarks.servers.hostile_app:create_app()"
    with Gunicorn(app, environ=environ(shared_cloud), options=("--timeout", "120")) as server:
        yield server


def forget_peaks(server: Gunicorn) -> int:
    """Have the system measure the peaks of the server's memory anew; return what is held now."""
    for pid in family(server.process.pid):
        (PROC / str(pid) / "clear_refs").write_text("5")
    return held_memory(server.process.pid)


@pytest.mark.skipif(not PROC.exists(), reason="a system without /proc")
def test_the_memory_that_a_request_takes_is_bounded(shared_cloud: StandIn, cloud: StandIn) -> None:
    app = "benchmarks.servers.hostile_app:create_app()"
    with Gunicorn(app, environ=environ(shared_cloud), options=("--timeout", "120")) as server:
        target = Target(server.port, Client(server.url).headers)
        assert post(lambda: run("echo", b'[{"input":1}]'), target).status == "200"
        took = {}
        for kind in TAKES_MEMORY:
            before = forget_peaks(server)
            assert post(BODIES[kind], target).status == "200"
            took[kind] = sum(peak_memory(server.process.pid)) - before
    assert max(took.values()) < MEMORY, took
    assert max(took.values()) > LARGEST, took


@contextmanager
def healthy(server: Gunicorn) -> Iterator[None]:
    """Ask for the server's health again and again; fail if one answer took too long."""
    slowest = 0.0
    over = threading.Event()

    def ask() -> None:
        nonlocal slowest
        while not over.wait(0.05):
            began = time.monotonic()
            assert requests.get(f"{server.url}/evals/", timeout=100).status_code == 200
            slowest = max(slowest, time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()
    assert 0 < slowest < HEALTHY


@pytest.mark.parametrize("kind", STATUSES)
def test_a_worker_answers_others_meanwhile(server: Gunicorn, cloud: StandIn, kind: str) -> None:
    headers = Client(server.url).headers
    with healthy(server):
        time.sleep(0.1)
        done = post(BODIES[kind], Target(server.port, headers))
    assert done.status == STATUSES[kind]

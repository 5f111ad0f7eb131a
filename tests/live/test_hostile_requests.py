"""No single request stops the others: a worker answers meanwhile, and refuses or serves it.

What exactly others feel, and how much memory is taken, is measured in ``benchmarks/hostile.py``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from benchmarks.hostile_kinds import BODIES, Target, post
from tests.server import Client, Gunicorn
from tests.standin import StandIn

from .conftest import environ

pytestmark = pytest.mark.live

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


@contextmanager
def healthy(server: Gunicorn) -> Iterator[None]:
    """Ask for the server's health again and again; fail if one answer took too long."""
    slowest = 0.0
    over = threading.Event()

    def ask() -> None:
        nonlocal slowest
        while not over.wait(0.01):
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
        time.sleep(0.02)
        done = post(BODIES[kind], Target(server.port, headers))
    assert done.status == STATUSES[kind]

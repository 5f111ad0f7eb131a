"""Under load: many runs at once, streams that are not read, large outputs; all is released.

How fast it is, and how much exactly it holds, is measured in ``benchmarks/``.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from benchmarks.client import drive, read_run, request
from benchmarks.machine import held_memory, open_files, threads
from flask_braintrust_evals.cloud.http.connections import MIN_IDLE
from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn
from tests.support import eventually

from .conftest import PLAYGROUND, environ

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc"),
]

HEADERS = {
    "Origin": "https://www.braintrust.dev",
    "x-bt-auth-token": "token-ada",
    "x-bt-org-name": "acme",
}
MIB = 2**20
LIMIT = 60.0
CASES = 2
"""Of each of the many runs."""


@pytest.fixture(scope="module")
def server(shared_cloud: StandIn) -> Iterator[Gunicorn]:
    # gevent resolves names in threads that it starts as it needs them, up to ten, and keeps.
    settings = {**environ(shared_cloud), "LOG_LEVEL": "WARNING", "GEVENT_RESOLVER": "block"}
    options = ("--worker-connections", "2000")
    with Gunicorn(environ=settings, options=options, fresh=True) as server:
        yield server


def body(name: str, data: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": name, "data": data, "stream": True, "parent": PLAYGROUND, **fields}


def as_sent(server: Gunicorn, body: dict[str, Any]) -> bytes:
    return request(server.port, "/evals/eval", HEADERS, body)


def open_stream(server: Gunicorn, body: dict[str, Any], buffer: int | None = None) -> socket.socket:
    """Ask for a run, with a receive buffer of so many bytes, and read nothing."""
    connection = socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(LIMIT)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(as_sent(server, body))
    return connection


def settled(read: Callable[[], int]) -> int:
    """Wait until a number does not change for a while, and return it."""
    value, since = read(), time.monotonic()
    deadline = since + LIMIT
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if read() != value:
            value, since = read(), time.monotonic()
        elif time.monotonic() - since > 0.5:
            return value
    raise AssertionError(f"still changing: {value}")


def test_hundreds_of_runs_at_once_all_end_and_release_everything(
    server: Gunicorn, cloud: StandIn
) -> None:
    pid = server.process.pid
    bodies = [as_sent(server, body(name, cases(*range(CASES)))) for name in ("echo", "async-echo")]

    def drive_both(runs: int) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda sent: drive(server.port, sent, runs, CASES, LIMIT), bodies))

    drive_both(25)  # starts whatever is started once
    cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 50 * CASES)
    before = settled(lambda: threads(pid)), settled(lambda: open_files(pid))
    over, healthy = threading.Event(), 0

    def ask() -> None:
        nonlocal healthy
        while not over.wait(0.02):
            healthy += requests.get(f"{server.url}/evals/", timeout=LIMIT).ok

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        drive_both(100)
    finally:
        over.set()
        asking.join()

    assert healthy > 5, "the server answers others meanwhile"
    cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 250 * CASES)
    # The thread that watches the event loop ends up to a second after the last coroutine.
    eventually(lambda: threads(pid) <= before[0])
    files = settled(lambda: open_files(pid))
    assert files <= before[1] + MIN_IDLE  # of connections to Braintrust that are kept


def test_streams_that_wait_are_cheap_and_are_released(server: Gunicorn, cloud: StandIn) -> None:
    pid = server.process.pid
    drive(server.port, as_sent(server, body("echo", cases(1))), 1, 1, LIMIT)
    files, memory = settled(lambda: open_files(pid)), held_memory(pid)
    started = "/control/patient/.*/started"
    with cloud.gate("GET", started):
        # They wait where their tasks ask the stand-in, one connection each.
        streams = [open_stream(server, body("patient", cases(1))) for _ in range(100)]
        cloud.wait_for(lambda: len(cloud.calls_to("GET", started)) == 100, LIMIT)
        grown = held_memory(pid) - memory
        for each in streams:
            each.close()
    assert grown / 100 < 400_000
    # Delivering the spans of all of them opens connections once more.
    cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 101, LIMIT)
    assert settled(lambda: open_files(pid)) <= files + MIN_IDLE


def test_a_client_that_does_not_read_stops_the_reading_of_data(
    server: Gunicorn, cloud: StandIn
) -> None:
    rows, text = 3_000, "x" * 5_000
    size = rows * len(text)
    dataset = cloud.add_dataset(
        "acme", "p", "large", [{"input": f"{n} {text}"} for n in range(rows)]
    )
    cloud.page_size = page = 50
    pages = f"/v1/dataset/{dataset}/fetch"
    drive(server.port, as_sent(server, body("echo", cases(1))), 1, 1, LIMIT)  # imports
    held = held_memory(server.process.pid)

    stream = open_stream(server, body("echo", {"dataset_id": dataset}), buffer=65536)
    cloud.wait_for(lambda: bool(cloud.calls_to("POST", pages)), LIMIT)  # not at rest before
    read = settled(lambda: len(cloud.calls_to("POST", pages)))

    assert read < rows / page / 2
    settled(lambda: len(cloud.spans))  # which are in memory until they are delivered
    assert held_memory(server.process.pid) - held < 2 * size
    assert read_run(stream, LIMIT) == rows
    assert len(cloud.calls_to("POST", pages)) in (rows // page, rows // page + 1)
    assert held_memory(server.process.pid) - held < 3 * size  # all results are more


def test_large_outputs_pass_and_only_a_few_are_held_at_a_time(
    server: Gunicorn, cloud: StandIn
) -> None:
    size, count = 5 * MIB, 12
    memory = held_memory(server.process.pid)
    run = body("large", cases(*[size] * count), max_concurrency=2)

    stream = open_stream(server, run)
    peak = settled(lambda: held_memory(server.process.pid))

    assert read_run(stream, LIMIT) == count
    assert peak - memory < 15 * size  # of which the stream alone has copies: object, JSON, event


def test_an_endless_source_of_cases_ends_with_its_client(server: Gunicorn, cloud: StandIn) -> None:
    rows = [{"input": "x" * 5_000}] * 200
    dataset = cloud.add_dataset("acme", "p", "endless", rows)
    cloud.page_size = 50
    pages = f"/v1/dataset/{dataset}/fetch"
    stream = open_stream(server, body("echo", {"dataset_id": dataset}, trial_count=1000), 65536)
    settled(lambda: len(cloud.spans_named("eval")))
    stream.close()

    settled(lambda: len(cloud.spans_named("eval")))
    assert len(cloud.calls_to("POST", pages)) == 1
    assert requests.get(f"{server.url}/evals/", timeout=5).ok


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_logs_that_cannot_be_written_cost_no_run(cloud: StandIn) -> None:
    with Gunicorn(environ=environ(cloud), log=Path("/dev/full")) as server:
        client = Client(server.url + "/evals")
        for _ in range(3):
            events = client.run("flaky", cases("good", "bad"), parent=PLAYGROUND)
            assert outputs(events) == ["good"]
            assert [each.event for each in events[-2:]] == ["summary", "done"]
            assert events[-2].json["errors"] == {"cases": 1, "scorers": {}}
        cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 6)
        answer = client.post({"name": "nobody", "data": cases(1)})
        assert (answer.status_code, list(json.loads(answer.text))) == (404, ["error"])

"""Limits of one process: bodies that do not come to their end, and cases of all runs at a time."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections.abc import Iterator

import pytest

from benchmarks.machine import threads
from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live

SECONDS = 2.0
PLACES = 8


@pytest.fixture(scope="module", params=["gevent", "gthread"])
def server(request: pytest.FixtureRequest, shared_cloud: StandIn) -> Iterator[Gunicorn]:
    settings = {
        "BRAINTRUST_EVALS_MAX_RUNS": "2",
        "BRAINTRUST_EVALS_BODY_TIMEOUT": str(SECONDS),
        "BRAINTRUST_EVALS_CONCURRENCY_LIMIT": "1000",
        "BRAINTRUST_EVALS_MAX_RUNNING_CASES": str(PLACES),
        "LOG_LEVEL": "WARNING",
    }
    options = ("--threads", "12") if request.param == "gthread" else ()
    with Gunicorn(
        worker_class=request.param,
        options=options,
        environ={**environ(shared_cloud), **settings},
    ) as server:
        yield server


@pytest.fixture(autouse=True)
def second_user(cloud: StandIn) -> None:
    cloud.add_user("token-bob", orgs=("acme",))


def begin(server: Gunicorn, body: bytes = b"{", token: str = "token-ada") -> socket.socket:
    """Send the head of a request with a body of 1000 bytes, and the first of these."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    head = (
        f"POST /evals/eval HTTP/1.1\r\nHost: localhost\r\nx-bt-auth-token: {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def status_of(connection: socket.socket) -> tuple[int, str]:
    """The status of an answer, and the text of its error."""
    data, length = b"", None
    while length is None or len(data) < length:
        more = connection.recv(65536)
        assert more, "the connection ended before the answer"
        data += more
        if found := re.search(rb"(?i)content-length: (\d+)\r\n(?s:.*?)\r\n\r\n", data):
            length = found.end() + int(found[1])
    return int(data.split()[1]), json.loads(data.partition(b"\r\n\r\n")[2])["error"]


def test_slow_bodies_hold_no_slots_of_runs_and_are_ended(server: Gunicorn, cloud: StandIn) -> None:
    ada, bob = (Client(server.url + "/evals", token) for token in ("token-ada", "token-bob"))
    for each in (ada, bob):
        each.manifest()  # logs in
    began = time.monotonic()
    with begin(server) as one, begin(server) as other:
        # A caller may have one body under way here, and the server chooses which one it is.
        (refused, *_), _, _ = select.select([one, other], [], [], 10)
        assert status_of(refused) == (
            429,
            "1 requests are being received for this caller in this process, which is the quota of"
            " each caller (BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER); try again when one of them has"
            " ended",
        )
        assert outputs(bob.run("echo", cases("a"), parent=PLAYGROUND)) == ["a"]
        assert status_of(other if refused is one else one) == (
            408,
            f"the body has not arrived within {SECONDS:g} s (BRAINTRUST_EVALS_BODY_TIMEOUT)",
        )
    assert time.monotonic() - began < SECONDS + 5
    assert outputs(ada.run("echo", cases("a"), parent=PLAYGROUND)) == ["a"]


def test_a_body_in_chunks_that_are_none_is_a_wrong_request(server: Gunicorn) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = (
            "POST /evals/eval HTTP/1.1\r\nHost: localhost\r\nx-bt-auth-token: token-ada\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode() + b"ZZ\r\n{}\r\n")
        status, text = status_of(connection)
    assert (status, text) == (400, "the body cannot be read: InvalidChunkSize")


def test_bodies_whose_clients_leave_are_forgotten_at_once(server: Gunicorn, cloud: StandIn) -> None:
    client = Client(server.url + "/evals")
    client.manifest()
    for _ in range(20):
        begin(server).close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        answer = client.post({"name": "echo", "data": cases("a"), "stream": False})
        if answer.status_code == 200:
            break
    assert answer.status_code == 200


def test_one_request_cannot_take_all_threads_and_gives_others_their_share(
    server: Gunicorn, cloud: StandIn
) -> None:
    ada, bob = (Client(server.url + "/evals", token) for token in ("token-ada", "token-bob"))
    before = threads(server.process.pid)
    with cloud.gate("GET", "/control/gated/.*") as gate:
        data = cases(*range(100))
        stream = ada.stream("gated", data, parent=PLAYGROUND, max_concurrency=1000)
        cloud.wait_for(lambda: gate.waiting == PLACES)
        for name in ("echo", "async-echo"):
            events = bob.run(name, cases(*range(10)), parent=PLAYGROUND)
            assert sorted(outputs(events)) == list(range(10))
        assert gate.waiting == PLACES
        # Requests, the event loop and deliveries have threads of their own.
        assert threads(server.process.pid) <= before + PLACES + 20
        gate.release()
        assert sorted(outputs(list(stream))) == list(range(100))

"""Runs that have lost their reason: their client does not read, or has left, or time is up."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest
import requests

from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live

ENDLESS = (
    "data-function",
    "async-data-function",
    "data-generator",
    "async-data-generator",
    "stubborn-coroutine",
    "plain-task",
)
WITHIN = 5.0 + 3.0
"""What is promised, and what a busy machine may take for it."""


def serve(cloud: StandIn, worker: str, **settings: str) -> Gunicorn:
    return Gunicorn(
        "tests.live.lasting_app:create_app()",
        worker_class=worker,
        options=("--threads", "40") if worker == "gthread" else (),
        environ={**environ(cloud), **settings},
    )


@contextmanager
def silent_client(server: Gunicorn, name: str, data: object) -> Iterator[socket.socket]:
    """A client that starts a run, and reads nothing of it."""
    body = json.dumps({"name": name, "data": data, "parent": PLAYGROUND}).encode()
    head = (
        f"POST /evals/eval HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nx-bt-org-name: acme\r\n"
        "x-bt-auth-token: token-ada\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(head.encode() + body)
        assert connection.recv(12) == b"HTTP/1.1 200"
        yield connection


def seconds_until(condition: Callable[[], bool], limit: float = 30.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, "did not happen"
        time.sleep(0.05)
    return time.monotonic() - began


def is_free(client: Client) -> bool:
    """Whether the server takes one more run."""
    answer = client.post({"name": "echo", "data": cases(1), "parent": PLAYGROUND, "stream": False})
    assert answer.status_code in (200, 429, 503), answer.text
    return answer.status_code == 200


@pytest.mark.parametrize("worker", ["gevent", "gthread"])
def test_a_client_that_does_not_read_loses_its_run(cloud: StandIn, worker: str) -> None:
    settings = {"BRAINTRUST_EVALS_MAX_RUNS": "1", "BRAINTRUST_EVALS_SEND_TIMEOUT": "2"}
    many = cases(*range(2000))
    with serve(cloud, worker, **settings) as server:
        client = Client(server.url + "/evals")
        with silent_client(server, "large", many):
            assert not is_free(client)
            assert seconds_until(lambda: is_free(client)) < 2 + WITHIN
        assert "evaluator 'large': the client has taken nothing of the stream for 2." in server.log
        assert "run of 'large' for organisation 'acme' cancelled" in server.log
        assert outputs(client.run("echo", cases("next"), parent=PLAYGROUND)) == ["next"]


def test_the_time_out_and_a_stop_do_not_wait_for_a_client_that_does_not_read(
    cloud: StandIn,
) -> None:
    many = cases(*range(2000))
    with serve(cloud, "gevent", BRAINTRUST_EVALS_MAX_RUNS="1") as server:
        client = Client(server.url + "/evals")
        with silent_client(server, "large-with-timeout", many):
            assert not is_free(client)
            assert seconds_until(lambda: is_free(client)) < 1.5 + WITHIN
        with silent_client(server, "large", many):
            before = len(cloud.spans_named("eval"))
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0
        assert "SIGKILL" not in server.log
        assert "graceful timeout" not in server.log
        assert "'large-with-timeout' for organisation 'acme' failed" in server.log
        assert "'large' for organisation 'acme' failed" in server.log
        # What had run until then is delivered.
        assert len(cloud.spans_named("eval")) > before


def test_what_does_not_end_with_its_client_gives_its_slot_back(cloud: StandIn) -> None:
    quotas = ("MAX_RUNS", "MAX_RUNS_PER_CALLER", "MAX_RUNS_PER_ORG")
    slots = {f"BRAINTRUST_EVALS_{each}": str(len(ENDLESS)) for each in quotas}
    with serve(cloud, "gevent", **slots) as server:
        client = Client(server.url + "/evals")
        streams = [client.stream(name, {"own": True}, parent=PLAYGROUND) for name in ENDLESS]
        # Also while data is made, the stream has begun, and comments are sent.
        for stream in streams:
            assert stream.next_comment() == ": heartbeat"
        assert not is_free(client)
        for stream in streams:
            stream.close()
        assert seconds_until(lambda: is_free(client)) < WITHIN
        seconds_until(lambda: server.log.count("cancelled after") == len(ENDLESS), WITHIN)
        held = ("data-function", "data-generator", "stubborn-coroutine", "plain-task")
        for name in held:
            assert f"evaluator '{name}': 5 s after the end of a run, " in server.log
        assert server.log.count("of its workers are busy") == len(held)
        # The worker ends all the same when it is told to.
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "SIGKILL" not in server.log


def test_a_worker_that_is_aborted_while_a_task_spins_ends_well(cloud: StandIn) -> None:
    with serve(cloud, "gevent") as server:
        client = Client(server.url + "/evals")
        victim = client.stream("plain-task", {"own": True}, parent=PLAYGROUND)
        assert victim.next_comment() == ": heartbeat"
        (pid,) = re.findall(r"Booting worker with pid: (\d+)", server.log)
        with ThreadPoolExecutor(1) as pool:
            spinning = pool.submit(client.run, "spinning", cases(1), parent=PLAYGROUND)
            seconds_until(lambda: not is_alive(server))
            # As gunicorn's master does with a worker that gives no sign of life. The handler raises
            # SystemExit in whatever runs, which is the task.
            os.kill(int(pid), signal.SIGABRT)
            events = spinning.result(30)
        failed = [e.json["data"] for e in events if e.event == "progress"]
        assert any(each.startswith("SystemExit: ") for each in failed)
        assert [event.event for event in list(victim)[-2:]] == ["error", "done"]
        # Another worker takes its place.
        seconds_until(lambda: len(re.findall("Booting worker", server.log)) == 2)
        assert outputs(client.run("echo", cases("next"), parent=PLAYGROUND)) == ["next"]


def is_alive(server: Gunicorn) -> bool:
    with suppress(requests.RequestException):
        return requests.get(f"{server.url}/evals/", timeout=0.3).ok
    return False

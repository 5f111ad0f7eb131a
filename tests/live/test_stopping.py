"""Runs that are under way when their server is stopped or reloaded."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live


def serve(cloud: StandIn, worker: str, *options: str) -> Gunicorn:
    options += ("--threads", "10") if worker == "gthread" else ()
    variables = environ(cloud)
    fresh = worker == "gevent"
    return Gunicorn(worker_class=worker, options=options, environ=variables, fresh=fresh)


@pytest.mark.parametrize("options", [(), ("--preload", "--workers", "2")], ids=["", "preload"])
def test_runs_at_once_and_their_threads_end_and_the_workers_end_on_sigterm(
    cloud: StandIn, options: tuple[str, ...]
) -> None:
    with Gunicorn(options=options, environ=environ(cloud), fresh=True) as server:
        client = Client(server.url + "/evals")

        def run(name: str) -> None:
            events = client.run(name, cases(*range(30)), parent=PLAYGROUND)
            assert sorted(outputs(events)) == list(range(30)), name

        names = ["threads-of-coroutines", "echo", "async-echo"] * 4
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(run, names))
        cloud.wait_for(lambda: len(cloud.spans_named("eval")) == len(names) * 30)
        # gunicorn kills workers that have not ended in its grace period, and says so.
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "SIGKILL" not in server.log


def stop(server: Gunicorn, how: str, cloud: StandIn) -> None:
    if how == "max_requests":
        requests.get(f"{server.url}/other", timeout=60)
    else:
        server.process.send_signal(signal.SIGHUP if how == "reload" else signal.SIGTERM)


@pytest.mark.parametrize(
    ("worker", "how"),
    [
        ("gevent", "stop"),
        ("gthread", "stop"),
        ("sync", "stop"),
        ("gevent", "reload"),
        ("gevent", "max_requests"),
    ],
)
def test_a_run_that_cannot_be_finished_before_its_worker_ends_reports_it(
    cloud: StandIn, worker: str, how: str
) -> None:
    # A fifth of it is kept for the end of the run, for which a machine that is busy takes a second.
    options = ["--graceful-timeout", "10"]
    options += ["--max-requests", "3"] if how == "max_requests" else []
    with serve(cloud, worker, *options) as server:
        client = Client(server.url + "/evals")
        stream = client.stream("patient", cases("a", "b", "c"), parent=PLAYGROUND)
        started = "/control/patient/.*/started"
        cloud.wait_for(lambda: len(cloud.calls_to("GET", started)) == 2)
        stop(server, how, cloud)
        events = list(stream)
        assert [event.event for event in events[-2:]] == ["error", "done"]
        assert events[-2].json.startswith("the server is being stopped or reloaded, and the run")
        assert "grace period of 10 seconds" in events[-2].json
        failed = [e.json["data"] for e in events if e.event == "progress"]
        assert sum(data.startswith("ServerStoppingError: ") for data in failed) == 2
        # The tasks were cancelled, what ran is delivered, and no process had to be killed.
        cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 2)
        if how == "stop":
            assert server.process.wait(20) == 0
        assert "graceful timeout" not in server.log
        assert "SIGKILL" not in server.log


@pytest.mark.parametrize("worker", ["gevent", "gthread"])
def test_a_run_that_can_be_finished_before_its_worker_ends_is_finished(
    cloud: StandIn, worker: str
) -> None:
    with (
        serve(cloud, worker, "--graceful-timeout", "20") as server,
        cloud.gate("GET", "/control/gated/.*") as gate,
    ):
        client = Client(server.url + "/evals")
        stream = client.stream("gated", cases(*"abc"), parent=PLAYGROUND)
        cloud.wait_for(lambda: gate.waiting == 3)
        server.process.send_signal(signal.SIGTERM)
        assert stream.next_comment() == ": heartbeat"
        gate.release()
        events = list(stream)
        assert [event.event for event in events[-2:]] == ["summary", "done"]
        assert len(cloud.spans_named("eval")) == 3
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("worker", ["gevent", "gthread"])
def test_a_worker_that_is_stopped_delivers_the_spans_of_runs_whose_clients_have_left(
    cloud: StandIn, worker: str
) -> None:
    with serve(cloud, worker, "--graceful-timeout", "20") as server:
        client = Client(server.url + "/evals")
        stream = client.stream("patient", cases(*"ab"), parent=PLAYGROUND)
        started = "/control/patient/.*/started"
        cloud.wait_for(lambda: len(cloud.calls_to("GET", started)) == 2)
        # Longer than gunicorn takes to notice that no request is left.
        cloud.fault("POST", "/otel/v1/traces", delay=2.5)
        stream.close()
        cloud.wait_for(lambda: cloud.calls_to("POST", "/otel/v1/traces"))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "run of 'patient' for organisation 'acme' cancelled" in server.log
        assert len(cloud.spans_named("eval")) == 2

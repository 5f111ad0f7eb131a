"""Runs that are under way when their server is stopped or reloaded."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest
import requests

from tests.server import Client, Gunicorn, Sent, cases, outputs
from tests.standin import StandIn, StoredSpan

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live


def serve(cloud: StandIn, worker: str, *options: str, fresh: bool = False) -> Gunicorn:
    options += ("--threads", "10") if worker == "gthread" else ()
    variables = environ(cloud)
    return Gunicorn(worker_class=worker, options=options, environ=variables, fresh=fresh)


def run_many_at_once(client: Client, cloud: StandIn) -> None:
    """Make runs of all kinds, whose threads must not keep their process from ending."""

    def run(name: str) -> None:
        events = client.run(name, cases(*range(30)), parent=PLAYGROUND)
        assert sorted(outputs(events)) == list(range(30)), name

    names = ["threads-of-coroutines", "echo", "async-echo"] * 2
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(run, names))
    cloud.wait_for(lambda: len(cloud.spans_named("eval")) == len(names) * 30)


def check_that_it_ends_by_itself(server: Gunicorn) -> None:
    # gunicorn kills workers that have not ended in its grace period, and says so.
    assert server.process.wait(20) == 0
    assert "SIGKILL" not in server.log
    assert "graceful timeout" not in server.log


def test_the_workers_end_after_runs_at_once_where_the_application_is_preloaded(
    cloud: StandIn,
) -> None:
    with serve(cloud, "gevent", "--preload", "--workers", "2", fresh=True) as server:
        run_many_at_once(Client(server.url + "/evals"), cloud)
        server.process.send_signal(signal.SIGTERM)
        check_that_it_ends_by_itself(server)


def stop(server: Gunicorn, how: str) -> None:
    if how == "max_requests":
        requests.get(f"{server.url}/other", timeout=60)
    else:
        server.process.send_signal(signal.SIGHUP if how == "reload" else signal.SIGTERM)


def test_a_run_that_cannot_be_finished_before_its_worker_ends_reports_it(cloud: StandIn) -> None:
    # All wait for the grace period at the same time.
    kinds = [
        *(("gevent", "stop"), ("gthread", "stop"), ("sync", "stop")),
        *(("gevent", "reload"), ("gevent", "max_requests")),
    ]
    with ExitStack() as stack:
        servers: dict[str, Gunicorn] = {}
        for worker, how in kinds:
            # A fifth of it is kept for the end of the run, for which a busy machine takes seconds.
            options = ["--graceful-timeout", "15"]
            options += ["--max-requests", "3"] if how == "max_requests" else []
            servers[f"{worker}-{how}"] = stack.enter_context(serve(cloud, worker, *options))
        streams = []
        for name, server in servers.items():
            data = cases(*(f"{name}-{case}" for case in "abc"))
            client = Client(server.url + "/evals")
            streams.append(client.stream("patient", data, parent=PLAYGROUND))
            wait_for_two_started(cloud, name)
        for (_, how), server in zip(kinds, servers.values(), strict=True):
            stop(server, how)
        with ThreadPoolExecutor(len(kinds)) as pool:
            ends = list(pool.map(list[Sent], streams))
        for (name, server), events in zip(servers.items(), ends, strict=True):
            check_that_the_run_was_ended(events, name)
            # The tasks were cancelled, what ran is delivered, and no process had to be killed.
            cloud.wait_for(partial(two_are_delivered, cloud, name))
            if name.endswith("stop"):
                assert server.process.wait(20) == 0, name
            assert "graceful timeout" not in server.log, name
            assert "SIGKILL" not in server.log, name


def check_that_the_run_was_ended(events: list[Sent], name: str) -> None:
    assert [event.event for event in events[-2:]] == ["error", "done"], name
    assert events[-2].json.startswith("the server is being stopped or reloaded, and the run"), name
    assert "grace period of 15 seconds" in events[-2].json, name
    failed = [e.json["data"] for e in events if e.event == "progress"]
    assert sum(data.startswith("ServerStoppingError: ") for data in failed) == 2, name


def wait_for_two_started(cloud: StandIn, name: str) -> None:
    """Wait until two cases of ``patient`` have begun whose inputs begin with a name."""
    started = f"/control/patient/{name}.*/started"
    cloud.wait_for(lambda: len(cloud.calls_to("GET", started)) == 2)


def two_are_delivered(cloud: StandIn, name: str) -> bool:
    return len(evals_of(cloud, name)) == 2


def evals_of(cloud: StandIn, name: str) -> list[StoredSpan]:
    """The spans of the cases whose inputs begin with a name."""
    spans = cloud.spans_named("eval")
    return [span for span in spans if str(span.json("braintrust.input_json")).startswith(name)]


@pytest.mark.parametrize("worker", ["gevent", "gthread"])
def test_a_worker_that_is_stopped_finishes_runs_and_delivers_those_whose_clients_have_left(
    cloud: StandIn, worker: str
) -> None:
    with (
        serve(cloud, worker, "--graceful-timeout", "15", fresh=worker == "gevent") as server,
        cloud.gate("GET", "/control/gated/.*") as gate,
    ):
        client = Client(server.url + "/evals")
        run_many_at_once(client, cloud)
        left = client.stream("patient", cases("left a", "left b"), parent=PLAYGROUND)
        wait_for_two_started(cloud, "left")
        # gevent's worker waits for connections that are kept open, and so for deliveries.
        client.headers["Connection"] = "close"
        stream = client.stream("gated", cases("in time a", "in time b"), parent=PLAYGROUND)
        cloud.wait_for(lambda: gate.waiting == 2)
        # Longer than gunicorn takes to notice that no request is left.
        cloud.fault("POST", "/otel/v1/traces", delay=3.0)
        before = len(cloud.calls_to("POST", "/otel/v1/traces"))
        left.close()
        cloud.wait_for(lambda: len(cloud.calls_to("POST", "/otel/v1/traces")) > before)

        server.process.send_signal(signal.SIGTERM)
        soon = time.monotonic() + 0.5
        while time.monotonic() < soon:
            assert stream.next_comment() == ": heartbeat"
        gate.release()
        events = list(stream)
        assert [event.event for event in events[-2:]] == ["summary", "done"]
        assert len(evals_of(cloud, "in time")) == 2
        assert not evals_of(cloud, "left"), "the intake holds them back"
        check_that_it_ends_by_itself(server)
        assert "run of 'patient' for organisation 'acme' cancelled" in server.log
        assert len(evals_of(cloud, "left")) == 2

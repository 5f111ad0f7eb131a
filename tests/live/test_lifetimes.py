"""What depends on sockets: silence, clients that disconnect, many at once."""

from __future__ import annotations

import pytest
import requests

from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live


@pytest.mark.parametrize("evaluator", ["patient", "async-patient"])
def test_a_client_that_disconnects_between_events_cancels_the_run(
    client: Client, cloud: StandIn, evaluator: str
) -> None:
    stream = client.stream(evaluator, cases(*range(30)), parent=PLAYGROUND, max_concurrency=2)
    started = f"/control/{evaluator}/.*/started"
    cloud.wait_for(lambda: len(cloud.calls_to("GET", started)) == 2)
    stream.close()
    cancelled = f"/control/{evaluator}/.*/cancelled"
    cloud.wait_for(lambda: len(cloud.calls_to("GET", cancelled)) == 2)
    # Spans of what ran are delivered, and no case was started after the client had left.
    cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 2)
    assert len(cloud.calls_to("GET", started)) == 2


def test_heartbeats_are_sent_between_events(client: Client, cloud: StandIn) -> None:
    with cloud.gate("GET", "/control/gated/quiet"):
        stream = client.stream("gated", cases("quiet"), parent=PLAYGROUND)
        stream.next()
        assert stream.next_comment() == ": heartbeat"
        stream.close()


def test_health_answers_while_runs_are_under_way(
    gevent_client: Client, gevent_server: Gunicorn, cloud: StandIn
) -> None:
    with cloud.gate("GET", "/control/gated/.*") as gate:
        data = cases(*range(20))
        stream = gevent_client.stream("gated", data, parent=PLAYGROUND, max_concurrency=20)
        cloud.wait_for(lambda: gate.waiting == 20)
        health = requests.get(f"{gevent_server.url}/evals/", timeout=5)
        assert health.json() == {"status": "ok"}
        gate.release()
        assert len(outputs(list(stream))) == 20


def test_no_more_cases_run_at_once_than_asked_for(client: Client, cloud: StandIn) -> None:
    with cloud.gate("GET", "/control/gated/.*") as gate:
        stream = client.stream("gated", cases(*range(9)), parent=PLAYGROUND, max_concurrency=3)
        cloud.wait_for(lambda: gate.waiting == 3)
        assert len(cloud.calls_to("GET", "/control/gated/.*")) == 3
        gate.release()
        assert len(outputs(list(stream))) == 9


def test_a_client_that_disconnects_cancels_a_run_without_a_stream(
    gevent_client: Client, cloud: StandIn
) -> None:
    body = {"name": "patient", "data": cases("quiet"), "parent": PLAYGROUND, "stream": False}
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{gevent_client.url}/eval", json=body, headers=gevent_client.headers, timeout=0.5
        )
    cloud.wait_for(lambda: cloud.calls_to("GET", "/control/patient/quiet/cancelled"))
    # What ran is delivered, and the server is done with it before the next test begins.
    cloud.wait_for(lambda: cloud.spans_named("eval"))


def test_heartbeats_are_sent_while_the_last_spans_are_delivered(cloud: StandIn) -> None:
    with Gunicorn(environ=environ(cloud)) as server:
        client = Client(server.url + "/evals")
        with cloud.gate("POST", "/otel/v1/traces"):
            stream = client.stream("echo", cases("a"), parent=PLAYGROUND)
            while "done" not in stream.next().data:
                pass
            assert stream.next_comment() == ": heartbeat"
            assert stream.next_comment() == ": heartbeat"
        events = list(stream)
        assert [event.event for event in events] == ["summary", "done"]

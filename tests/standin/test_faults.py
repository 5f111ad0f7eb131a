"""Faults, gates and the journal."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from . import Call, StandIn
from .support import ADA, Client, MakeClient


def test_calls_are_listed_with_what_was_sent(standin: StandIn, client: MakeClient) -> None:
    client(**{"X-Bt-Org-Name": "acme"})("POST", "/v1/project?a=1&b=", json={"name": "Geo"})
    (call,) = standin.calls_to("POST", "/v1/pro.*")
    assert (call.method, call.path, call.query) == ("POST", "/v1/project", {"a": "1", "b": ""})
    assert call.headers["x-bt-org-name"] == "acme"
    assert (call.json, call.token, call.status) == ({"name": "Geo"}, ADA, 200)
    assert standin.calls_to("GET", "/v1/pro.*") == standin.calls_to("*", "/v1") == []


def test_a_fault_skips_some_calls_and_is_played_a_number_of_times(
    standin: StandIn, client: MakeClient
) -> None:
    fault = standin.fault("GET", "/v1/dataset", status=503, after=1, times=2)
    ada = client()
    statuses = [ada("GET", "/v1/dataset").status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]
    assert fault.hits == 2
    assert ada("GET", "/v1/experiment").status_code == 200


def test_faults_are_played_in_the_order_they_were_set(standin: StandIn, client: MakeClient) -> None:
    standin.fault("GET", "/v1/.*", status=429, headers={"Retry-After": "1"})
    standin.fault("*", "/v1/dataset", body={"objects": "none"})
    lasting = standin.fault("*", ".*", status=500, body=b"boom", times=None)
    ada = client()
    first, second, third = (ada("GET", "/v1/dataset") for _ in range(3))
    assert (first.status_code, first.headers["Retry-After"]) == (429, "1")
    assert first.json()["Code"] == "TooManyRequestsError"
    assert (second.status_code, second.json()) == (200, {"objects": "none"})
    assert (third.status_code, third.content) == (500, b"boom")
    lasting.cancel()
    assert ada("GET", "/v1/dataset").status_code == 200


def test_a_closed_socket_and_half_an_answer_are_connection_errors(
    standin: StandIn, client: MakeClient
) -> None:
    ada = client()
    standin.fault("POST", "/v1/project", close=True)
    with pytest.raises(requests.ConnectionError):
        ada("POST", "/v1/project", json={"name": "lost"})
    standin.wait_for(lambda: len(standin.calls) == 1)
    assert standin.calls[0].status is None
    standin.fault("POST", "/v1/project", half=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ada("POST", "/v1/project", json={"name": "half"})
    assert ada("POST", "/v1/project", json={"name": "whole"}).status_code == 200


def test_nonsense_is_a_success_without_json(standin: StandIn, client: MakeClient) -> None:
    standin.fault("POST", "/api/apikey/login", nonsense=True)
    response = client()("POST", "/api/apikey/login")
    assert response.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()


def test_a_delay_comes_before_the_real_answer(standin: StandIn, client: MakeClient) -> None:
    standin.fault("GET", "/v1/dataset", delay=30)
    ada = client()
    with pytest.raises(requests.ReadTimeout):
        ada.session.get(f"{standin.url}/v1/dataset", timeout=0.1)
    (call,) = standin.wait_for(lambda: standin.calls)
    assert call.status is None
    standin.reset()
    assert ada("GET", "/v1/dataset").status_code == 401


def test_a_gate_holds_calls_until_it_is_released(standin: StandIn, client: MakeClient) -> None:
    ada = client()
    with ThreadPoolExecutor(3) as pool, standin.gate("GET", "/v1/dataset", after=1) as gate:
        assert ada("GET", "/v1/dataset").status_code == 200
        held = [pool.submit(client(), "GET", "/v1/dataset") for _ in range(3)]
        assert gate.reached.wait(10)
        standin.wait_for(lambda: gate.waiting == 3)
        assert not any(each.done() for each in held)
        assert [call.status for call in standin.calls] == [200, None, None, None]
        assert ada("GET", "/v1/experiment").status_code == 200
        gate.release()
        assert [each.result().status_code for each in held] == [200] * 3
    assert gate.waiting == 0


def test_what_happens_while_a_call_is_held_counts(standin: StandIn, client: MakeClient) -> None:
    with ThreadPoolExecutor(1) as pool, standin.gate("GET", "/v1/dataset") as gate:
        held = pool.submit(client(), "GET", "/v1/dataset")
        assert gate.reached.wait(10)
        standin.revoke(ADA)
        gate.release()
        assert held.result().status_code == 401


def test_wait_for_returns_what_it_waited_for_or_says_what_came_instead(
    standin: StandIn, client: MakeClient
) -> None:
    def answered() -> list[Call]:
        return [call for call in standin.calls if call.status == 200]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(standin.wait_for, answered)
        client()("GET", "/v1/dataset")
        (call,) = waiting.result()
    assert call.path == "/v1/dataset"
    with pytest.raises(TimeoutError, match="GET /v1/dataset -> 200"):
        standin.wait_for(lambda: standin.spans, timeout=0.01)


def test_reset_forgets_everything_but_the_address(standin: StandIn, client: MakeClient) -> None:
    url, project = standin.url, standin.add_project("acme", "Geo")
    standin.fault("*", ".*", status=500, times=None)
    standin.page_size = 1
    ada = client()
    assert ada("GET", "/v1/dataset").status_code == 500
    standin.reset()
    assert not standin.calls
    assert not standin.page_size
    assert standin.url == url
    assert ada("GET", "/v1/dataset").status_code == 401
    standin.add_user(ADA)
    assert ada("GET", f"/v1/project/{project}").status_code == 404
    assert standin.add_project("acme", "Geo") == project


def test_closing_ends_held_calls_and_open_connections(client: MakeClient) -> None:
    with StandIn() as standin, ThreadPoolExecutor(1) as pool:
        gate = standin.gate("*", ".*")
        ada = Client(standin.url, ADA)
        held = pool.submit(ada, "GET", "/v1/dataset")
        assert gate.reached.wait(10)
        standin.close()
        # The answer may still have got out before the connection was cut.
        assert isinstance(held.exception(), requests.RequestException | None)
        with pytest.raises(requests.ConnectionError):
            ada("GET", "/v1/dataset")
        ada.session.close()
    port = standin.url.rpartition(":")[2]
    assert not [thread for thread in threading.enumerate() if thread.name == f"standin-{port}"]


def test_one_connection_carries_many_calls(standin: StandIn, client: MakeClient) -> None:
    ada = client()
    for index in range(20):
        ada.post("/v1/project", name=f"p{index}")
    assert len({call.port for call in standin.calls}) == 1

"""Crowds, outages and revoked tokens, over real sockets."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live

LOGIN = "/api/apikey/login"


@pytest.mark.parametrize(("worker_class", "limit"), [("gevent", 1), ("gthread", 2)])
def test_callers_never_mix_while_a_small_cache_evicts_their_sessions(
    cloud: StandIn, worker_class: str, limit: int
) -> None:
    users = [f"token-{n}" for n in range(5)]
    for number, token in enumerate(users):
        cloud.add_user(token, orgs=(f"org-{number}",))
    settings = {**environ(cloud), "BRAINTRUST_EVALS_SESSION_LIMIT": str(limit)}
    options = ("--threads", "40") if worker_class == "gthread" else ()
    with Gunicorn(worker_class=worker_class, options=options, environ=settings) as server:

        def request(number: int) -> None:
            user = random.Random(number).randrange(len(users))
            client = Client(server.url + "/evals", users[user], f"org-{user}")
            parent = {"object_type": "playground_logs", "object_id": f"playground-{user}"}
            inputs = [f"{user}-{number}-{n}" for n in range(3)]
            found = outputs(client.run("async-echo", cases(*inputs), parent=parent))
            assert sorted(found) == inputs

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(request, range(60)))
    spans = cloud.spans_named("task")
    assert len(spans) == 180
    for span in spans:
        user = span.json("braintrust.output_json").split("-")[0]
        assert (span.token, span.parent_header) == (
            f"token-{user}",
            f"playground_id:playground-{user}",
        )


def test_simultaneous_first_requests_log_in_once(gevent_client: Client, cloud: StandIn) -> None:
    cloud.add_user("token-crowd")
    gevent_client.headers["x-bt-auth-token"] = "token-crowd"
    cloud.add_user("token-other")
    other = Client(gevent_client.url, "token-other")
    with ThreadPoolExecutor(20) as pool:
        with cloud.gate("POST", LOGIN) as gate:
            crowd = [pool.submit(gevent_client.manifest) for _ in range(20)]
            assert gate.reached.wait(10)
            assert cloud.logins == 1
        assert all("echo" in each.result(15) for each in crowd)
    assert cloud.logins == 1
    assert "echo" in other.manifest()


def test_a_slow_login_delays_no_other_caller(gevent_client: Client, cloud: StandIn) -> None:
    cloud.add_user("token-slow")
    cloud.add_user("token-quick")
    slow = Client(gevent_client.url, "token-slow")
    with ThreadPoolExecutor(1) as pool:
        with cloud.gate("POST", LOGIN) as gate:
            waiting = pool.submit(slow.manifest)
            assert gate.reached.wait(10)
            gate_of_the_quick = cloud.logins
            answer = requests.get(gevent_client.url, timeout=5)
            assert answer.json() == {"status": "ok"}
            assert not waiting.done() and gate_of_the_quick == 1
        assert "echo" in waiting.result(15)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ({"status": 503}, 502, "answered POST /api/apikey/login with status 503"),
        ({"nonsense": True}, 502, "answer to POST /api/apikey/login is not JSON"),
        ({"close": True}, 502, "could not be reached"),
        ({"half": True}, 502, "ended half-way"),
        ({"delay": 3.0}, 504, "did not answer POST /api/apikey/login within 1 seconds"),
        ({"status": 200, "body": '{"org_info": 3}'}, 502, "does not list organisations"),
    ],
    ids=["failing", "nonsense", "closing", "half an answer", "slow", "wrong shape"],
)
def test_an_outage_of_the_login_is_reported_as_one_and_not_kept(
    impatient: Gunicorn, cloud: StandIn, fault: dict[str, Any], status: int, text: str
) -> None:
    token = f"token-unlucky-{uuid.uuid4()}"  # one that the server does not know yet
    cloud.add_user(token)
    client = Client(impatient.url + "/evals", token)
    broken = cloud.fault("POST", LOGIN, times=None, **fault)
    answer = client.post({"name": "echo", "data": cases(1)})
    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert cloud.logins <= 4
    broken.cancel()
    assert "echo" in client.manifest()


@pytest.fixture(scope="module")
def impatient(shared_cloud: StandIn) -> Iterator[Gunicorn]:
    settings = {**environ(shared_cloud), "BRAINTRUST_EVALS_REQUEST_TIMEOUT": "1"}
    with Gunicorn(environ=settings) as server:
        yield server


@pytest.mark.parametrize(
    "fault", [{"status": 429, "headers": {"Retry-After": "0"}}, {"status": 502}, {"close": True}]
)
def test_a_passing_outage_is_not_noticed(
    impatient: Gunicorn, cloud: StandIn, fault: dict[str, Any]
) -> None:
    token = f"token-lucky-{uuid.uuid4()}"
    cloud.add_user(token)
    cloud.fault("POST", LOGIN, **fault)
    assert "echo" in Client(impatient.url + "/evals", token).manifest()
    assert cloud.logins == 2


def test_a_flood_of_invented_tokens_keeps_nobody_out_and_floods_nobody(
    gevent_client: Client, cloud: StandIn
) -> None:
    cloud.add_user("token-honest")
    invented = Client(gevent_client.url, "invented")
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: invented.post({}).status_code, range(60)))
        assert set(statuses) == {401}
        assert cloud.logins == 1
        each = [Client(gevent_client.url, f"invented-{n}") for n in range(60)]
        refused = [pool.submit(client.post, {}) for client in each]
        assert "echo" in Client(gevent_client.url, "token-honest").manifest()
        assert {answer.result().status_code for answer in refused} == {401}
    assert cloud.logins == 62


def test_a_login_that_braintrust_puts_off_is_answered_at_once_with_when_to_come_back(
    impatient: Gunicorn, cloud: StandIn
) -> None:
    token = f"token-early-{uuid.uuid4()}"
    cloud.add_user(token)
    cloud.fault("POST", LOGIN, status=429, headers={"Retry-After": "20"})
    client = Client(impatient.url + "/evals", token)
    begun = time.monotonic()
    for _ in range(3):
        answer = client.post({"name": "echo", "data": cases(1)})
        assert answer.status_code == 503
        assert 15 <= int(answer.headers["Retry-After"]) <= 20
        assert answer.json()["error"] == (
            "Braintrust accepts no further login at the moment (status 429); try again in 20"
            " seconds"
        )
    assert time.monotonic() - begun < 10
    assert cloud.logins == 1


def test_a_client_that_leaves_during_its_login_takes_it_from_nobody(
    gevent_client: Client, cloud: StandIn
) -> None:
    token = f"token-shared-{uuid.uuid4()}"
    cloud.add_user(token)
    client = Client(gevent_client.url, token)
    with cloud.gate("POST", LOGIN) as gate, ThreadPoolExecutor(1) as pool:
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{client.url}/list", headers=client.headers, timeout=0.7)
        cloud.wait_for(lambda: gate.waiting == 1)
        staying = pool.submit(client.manifest)
        gate.release()
        assert "echo" in staying.result(20)
    assert cloud.logins == 1


def test_a_token_that_is_revoked_during_a_run_ends_it_and_is_refused_later(
    gevent_client: Client, cloud: StandIn
) -> None:
    cloud.add_user("token-gone")
    client = Client(gevent_client.url, "token-gone")
    dataset_id = cloud.add_dataset("acme", "p", "d", [{"input": n} for n in range(4)])
    cloud.page_size = 2
    with cloud.gate("POST", f"/v1/dataset/{dataset_id}/fetch", after=1) as gate:
        stream = client.stream("echo", {"dataset_id": dataset_id}, parent=PLAYGROUND)
        first = [stream.next() for _ in range(4)]
        assert gate.reached.wait(10)
        cloud.revoke("token-gone")
    rest = list(stream)
    assert [each.event for each in rest] == ["error", "done"]
    assert "with status 401" in rest[0].json
    assert len(outputs(first)) == 2
    logins = cloud.logins
    answer = client.post({"name": "echo", "data": cases(1)})
    assert answer.status_code == 401
    assert cloud.logins == logins + 1


def test_a_process_that_is_full_says_when_to_come_back(cloud: StandIn) -> None:
    settings = {**environ(cloud), "BRAINTRUST_EVALS_MAX_RUNS": "1"}
    with Gunicorn(environ=settings) as server:
        client = Client(server.url + "/evals")
        with cloud.gate("GET", "/control/gated/first"):
            stream = client.stream("gated", cases("first"), parent=PLAYGROUND)
            stream.next()
            full = client.post({"name": "echo", "data": cases(1), "parent": PLAYGROUND})
            assert full.status_code == 503
            assert full.headers["Retry-After"] == "5"
            assert "BRAINTRUST_EVALS_MAX_RUNS" in full.json()["error"]
        assert len(outputs(list(stream))) == 1

        # A client that disconnects releases its slot, too.
        stream = client.stream("patient", cases(1), parent=PLAYGROUND)
        cloud.wait_for(lambda: cloud.calls_to("GET", "/control/patient/1/started"))
        stream.close()
        cloud.wait_for(lambda: cloud.calls_to("GET", "/control/patient/1/cancelled"))
        cloud.wait_for(lambda: len(cloud.spans_named("eval")) >= 2)

        def free() -> bool:
            body = {"name": "echo", "data": cases(1), "parent": PLAYGROUND, "stream": False}
            return client.post(body).status_code == 200

        assert any(free() for _ in range(200))


def test_tokens_appear_in_no_output_of_a_busy_and_failing_server(cloud: StandIn) -> None:
    secret = "sk-verysecret-0123456789"
    cloud.add_user(secret)
    dataset_id = cloud.add_dataset("acme", "p", "d", [{"input": n} for n in range(3)])
    settings = {**environ(cloud), "LOG_LEVEL": "DEBUG", "BRAINTRUST_EVALS_REQUEST_TIMEOUT": "1"}
    with Gunicorn(environ=settings, options=("--log-level", "debug")) as server:
        client = Client(server.url + "/evals", secret)
        bearer = Client(server.url + "/evals", None)
        bearer.headers["Authorization"] = f"Bearer {secret}"
        answers = []
        data = {"dataset_id": dataset_id}

        def ask(who: Client, **body: Any) -> None:
            fields = {"name": "scored", "data": cases("a"), "parent": PLAYGROUND, **body}
            answers.append(who.post(fields).text)

        ask(client)
        ask(bearer, name="flaky", data=cases("bad", "exit"))
        ask(bearer, data=data)
        ask(client, name=secret)
        echoed = f'{{"Message": "no such token: {secret}"}}'
        for path in (
            f"/v1/dataset/{dataset_id}",
            "/v1/experiment",
            "/otel/v1/traces",
            "/function.*",
        ):
            for fault in ({"status": 400, "body": echoed}, {"close": True}, {"nonsense": True}):
                cloud.fault("*", path, times=4, **fault)
                function = [{"name": "remote", "function_id": "f"}]
                ask(client, data=data, scores=function)
                ask(client, parent=None, scores=function)
        ask(Client(server.url + "/evals", secret + "-wrong"))
        cloud.revoke(secret)
        ask(client, data=data)
        ask(client)
        log = server.log
    assert "run of 'scored' for organisation 'acme'" in log
    # What the client sent is no secret of the server: the answer repeats the client's own name.
    answers = [text for text in answers if " not found; " not in text]
    spans = [repr(span.attributes) + repr(span.events) for span in cloud.spans]
    for output in (log, *answers, *spans):
        assert secret not in output
    assert not [call for call in cloud.calls if secret in call.path + repr(call.query)]

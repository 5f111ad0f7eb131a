"""What a client sees when a part of Braintrust fails: each service, in each way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server import Client, Gunicorn, Sent, cases
from tests.standin import StandIn

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live

LIMIT = "0.3"
SPANS = 4
"""Of one case of ``echo``: the case, its task, its scorer and its classifier."""

FAULTS: dict[str, dict[str, Any]] = {
    "slow": {"delay": 30.0},
    "refusing": {"status": 503},
    "nonsense": {"nonsense": True},
    "half": {"half": True},
    "closed": {"close": True},
}
TEXTS = {
    "slow": "Braintrust did not answer {call} within 0.3 seconds",
    "refusing": "Braintrust answered {call} with status 503: InternalError",
    "nonsense": "Braintrust's answer to {call} is not JSON",
    "half": "Braintrust's answer to {call} ended half-way",
    "closed": "Braintrust could not be reached at {host} for {call} (ConnectionError)",
}

every_fault = pytest.mark.parametrize("kind", FAULTS)


@pytest.fixture(scope="module")
def impatient_server(shared_cloud: StandIn) -> Iterator[Gunicorn]:
    settings = {**environ(shared_cloud), "BRAINTRUST_EVALS_REQUEST_TIMEOUT": LIMIT}
    with Gunicorn(environ=settings) as server:
        yield server


@pytest.fixture
def impatient(impatient_server: Gunicorn, cloud: StandIn, kind: str) -> Iterator[Client]:
    """A client, whose server works again once the fault has passed."""
    client = Client(impatient_server.url + "/evals")
    yield client
    cloud.reset()
    cloud.add_user("token-ada", orgs=("acme",))
    events = client.run("echo", cases("after"), parent=PLAYGROUND)
    assert progress(events) == ["json_delta", "done"]
    assert [each.event for each in events[-2:]] == ["summary", "done"]
    # What a slow intake held back may still arrive beside them.
    (root,) = (
        span
        for span in cloud.spans_named("eval")
        if span.attributes["braintrust.input_json"] == '"after"'
    )
    assert len([span for span in cloud.spans if span.trace_id == root.trace_id]) == SPANS


def break_(cloud: StandIn, kind: str, call: str, after: int = 0) -> str:
    """Have every call fail from one on; return how that must be reported to the client."""
    method, path = call.split()
    cloud.fault(method, path, times=None, after=after, **FAULTS[kind])
    return TEXTS[kind].format(call=call, host=cloud.url.removeprefix("http://"))


def progress(events: list[Sent]) -> list[str]:
    return [each.json["event"] for each in events if each.event == "progress"]


@every_fault
def test_the_login(
    impatient_server: Gunicorn, impatient: Client, cloud: StandIn, kind: str
) -> None:
    token = f"token-login-{kind}"  # one that the server does not know yet
    cloud.add_user(token, orgs=("acme",))
    text = break_(cloud, kind, "POST /api/apikey/login")
    newcomer = Client(impatient_server.url + "/evals", token)
    answer = newcomer.post({"name": "echo", "data": cases("a"), "stream": True})
    assert answer.status_code == (504 if kind == "slow" else 502)
    assert answer.json() == {"error": text}


@every_fault
def test_the_api_before_the_first_case(impatient: Client, cloud: StandIn, kind: str) -> None:
    text = break_(cloud, kind, "POST /v1/project")
    answer = impatient.post({"name": "echo", "data": cases("a"), "stream": True})
    assert answer.status_code == (504 if kind == "slow" else 502)
    assert answer.json() == {"error": text}


@every_fault
def test_the_third_page_of_a_dataset(impatient: Client, cloud: StandIn, kind: str) -> None:
    dataset = cloud.add_dataset("acme", "p", "d", [{"input": n} for n in range(6)])
    cloud.page_size = 2
    text = break_(cloud, kind, f"POST /v1/dataset/{dataset}/fetch", after=2)
    events = impatient.run("echo", {"dataset_id": dataset}, parent=PLAYGROUND)
    assert sorted(progress(events)) == ["done"] * 4 + ["json_delta"] * 4
    others = [each for each in events if each.event != "progress"]
    assert [each.event for each in others] == ["error", "done"]
    assert json.loads(others[0].data) == text
    assert len(cloud.spans) == 4 * SPANS, "what ran is delivered"


@every_fault
def test_the_function_service(impatient: Client, cloud: StandIn, kind: str) -> None:
    judge = cloud.add_function(lambda arguments: 1)
    text = break_(cloud, kind, "POST /function/invoke")
    scores = [{"name": "judge", "function_id": {"function_id": judge}}]
    events = impatient.run("echo", cases("a"), parent=PLAYGROUND, scores=scores)
    assert progress(events) == ["json_delta", "done"]
    assert [each.event for each in events[-2:]] == ["summary", "done"]
    summary = events[-2].json
    assert list(summary["scores"]) == ["exact_match"]
    assert summary["errors"] == {"cases": 0, "scorers": {"judge": 1}}
    (span,) = cloud.spans_named("judge")
    assert text in span.status_message


@every_fault
def test_the_span_intake(impatient: Client, cloud: StandIn, kind: str) -> None:
    break_(cloud, kind, "POST /otel/v1/traces")
    events = impatient.run("echo", cases("a"), parent=PLAYGROUND)
    assert progress(events) == ["json_delta", "done"]
    assert [each.event for each in events[-2:]] == ["summary", "done"]
    # With a status of success, whatever comes with it, Braintrust has taken them.
    lost = None if kind in ("nonsense", "half") else SPANS
    assert events[-2].json.get("lostSpans") == lost

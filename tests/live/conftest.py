"""A server under each kind of worker, and the cloud that it speaks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server import Client, Gunicorn
from tests.standin import StandIn

WORKERS = ("gevent", "gthread", "sync")
PLAYGROUND = {"object_type": "playground_logs", "object_id": "playground-1"}


@pytest.fixture(scope="session")
def shared_cloud() -> Iterator[StandIn]:
    with StandIn() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared_cloud: StandIn) -> StandIn:
    """The stand-in, with one user who is in one organisation."""
    shared_cloud.reset()
    shared_cloud.add_user("token-ada", orgs=("acme",))
    return shared_cloud


def environ(cloud: StandIn) -> dict[str, str]:
    return {
        "BRAINTRUST_APP_URL": cloud.url,
        "CONTROL_URL": cloud.url,
        "BRAINTRUST_EVALS_HEARTBEAT": "0.2",
        "BRAINTRUST_EVALS_REQUEST_TIMEOUT": "5",
    }


@pytest.fixture(scope="session", params=WORKERS)
def any_server(request: pytest.FixtureRequest, shared_cloud: StandIn) -> Iterator[Gunicorn]:
    """The same application under each kind of worker."""
    options = ("--threads", "40") if request.param == "gthread" else ()
    with Gunicorn(
        worker_class=request.param, options=options, environ=environ(shared_cloud)
    ) as server:
        yield server


@pytest.fixture(scope="session")
def gevent_server(shared_cloud: StandIn) -> Iterator[Gunicorn]:
    with Gunicorn(environ=environ(shared_cloud)) as server:
        yield server


@pytest.fixture
def client(any_server: Gunicorn, cloud: StandIn) -> Client:
    return Client(any_server.url + "/evals")


@pytest.fixture
def gevent_client(gevent_server: Gunicorn, cloud: StandIn) -> Client:
    return Client(gevent_server.url + "/evals")

"""A server under each kind of worker, and the cloud that it speaks to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

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


@pytest.fixture(scope="session")
def server_of(shared_cloud: StandIn) -> Iterator[Callable[[str], Gunicorn]]:
    """Returns the server under a kind of worker, which is started when it is first asked for."""
    with ExitStack() as stack:

        @functools.cache
        def server_of(worker: str) -> Gunicorn:
            options = ("--threads", "40") if worker == "gthread" else ()
            variables = environ(shared_cloud)
            server = Gunicorn(worker_class=worker, options=options, environ=variables)
            return stack.enter_context(server)

        yield server_of


@pytest.fixture(params=WORKERS)
def any_server(request: pytest.FixtureRequest, server_of: Callable[[str], Gunicorn]) -> Gunicorn:
    """The same application under each kind of worker."""
    return server_of(request.param)


@pytest.fixture
def gevent_server(server_of: Callable[[str], Gunicorn]) -> Gunicorn:
    return server_of("gevent")


@pytest.fixture
def client(any_server: Gunicorn, cloud: StandIn) -> Client:
    return Client(any_server.url + "/evals")


@pytest.fixture
def gevent_client(gevent_server: Gunicorn, cloud: StandIn) -> Client:
    return Client(gevent_server.url + "/evals")

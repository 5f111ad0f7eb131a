"""Fixtures of the tests that speak to Braintrust's stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_braintrust_evals.cloud.client import CloudClient
from flask_braintrust_evals.cloud.sessions import Endpoints, UserSession, log_in
from tests.standin import StandIn
from tests.web.support import TOKEN, without_settings


@pytest.fixture(autouse=True, scope="module")
def no_settings_of_this_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        without_settings(patch)
        yield


@pytest.fixture
def cloud() -> Iterator[StandIn]:
    """The stand-in, with one user who is in one organisation."""
    with StandIn() as cloud:
        cloud.add_user(TOKEN)
        yield cloud


@pytest.fixture
def client() -> Iterator[CloudClient]:
    """The connections of that user."""
    client = CloudClient(TOKEN, 5)
    yield client
    client.close()


@pytest.fixture
def session(cloud: StandIn) -> Iterator[UserSession]:
    """That user, signed in."""
    session = log_in(TOKEN, None, Endpoints(cloud.url, timeout=5))
    yield session
    session.close()

"""Fixtures of the tests that speak to Braintrust's stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_braintrust_evals.cloud.client import CloudClient
from flask_braintrust_evals.cloud.sessions import Endpoints, UserSession, log_in
from tests.standin import StandIn
from tests.support import TOKEN


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

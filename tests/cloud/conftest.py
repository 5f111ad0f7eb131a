"""Fixtures of the tests that speak to Braintrust's stand-in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions.user_session import Endpoints, UserSession, log_in
from tests.standin import StandIn
from tests.support import TOKEN


@pytest.fixture
def client(cloud: StandIn) -> Iterator[CloudClient]:
    """The connections of that user."""
    client = CloudClient(Token(TOKEN), 5, AddressRules.of([cloud.url], ["127.0.0.1"]))
    yield client
    client.close()


@pytest.fixture
def session(cloud: StandIn) -> Iterator[UserSession]:
    """That user, signed in."""
    session = log_in(Token(TOKEN), None, Endpoints(cloud.url, timeout=5))
    yield session
    session.close()

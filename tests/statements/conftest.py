"""Fixtures of the statements."""

from __future__ import annotations

import pytest

from tests.standin import StandIn
from tests.web.support import Api, cloud_app


@pytest.fixture
def api(cloud: StandIn) -> Api:
    """A user of an application with the evaluator ``echo``."""
    return Api(cloud_app(cloud))

"""Fixtures of the tests of the HTTP edge."""

from __future__ import annotations

import pytest

from flask_braintrust_evals import Evaluator
from tests.standin import StandIn

from .support import Api, cloud_app, echo, make_app, whole_case


@pytest.fixture
def api(cloud: StandIn) -> Api:
    """A user of an application with the evaluators ``echo`` and ``whole``."""
    return Api(cloud_app(cloud, Evaluator("echo", echo), Evaluator("whole", whole_case)))


@pytest.fixture
def local() -> Api:
    """The same application, without Braintrust and without a token."""
    evaluators = [Evaluator("echo", echo), Evaluator("whole", whole_case)]
    return Api(make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none"), token=None)

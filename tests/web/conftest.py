"""Fixtures of the tests of the HTTP edge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_braintrust_evals import Evaluator
from tests.standin import StandIn

from .support import TOKEN, Api, cloud_app, echo, make_app, whole_case, without_settings


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
def api(cloud: StandIn) -> Api:
    """A user of an application with the evaluators ``echo`` and ``whole``."""
    return Api(cloud_app(cloud, Evaluator("echo", echo), Evaluator("whole", whole_case)))


@pytest.fixture
def local() -> Api:
    """The same application, without Braintrust and without a token."""
    evaluators = [Evaluator("echo", echo), Evaluator("whole", whole_case)]
    return Api(make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none"), token=None)

"""Fixtures of the tests of the ``braintrust`` SDK's evaluators."""

from __future__ import annotations

import pytest

from flask_braintrust_evals import EvalsBlueprint


@pytest.fixture
def bp() -> EvalsBlueprint:
    return EvalsBlueprint("evals", __name__)

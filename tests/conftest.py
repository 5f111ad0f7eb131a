"""Fixtures of all packages' tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .standin import StandIn
from .support import TOKEN


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes long first: at the end, one process would run it while the others wait."""
    if hasattr(config, "workerinput"):  # one of several processes
        items.sort(key=lambda item: [item.get_closest_marker(n) is None for n in ("live", "slow")])


@pytest.fixture(autouse=True, scope="session")
def no_settings_of_this_machine() -> Iterator[None]:
    """Every setting that the machine's own environment may have is taken away."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("BRAINTRUST_", "OTEL_")) or name in ("WHITELISTED_ORIGIN", "NETRC"):
                patch.delenv(name)
        patch.setenv("NO_PROXY", "127.0.0.1", prepend=",")
        yield


@pytest.fixture
def cloud() -> Iterator[StandIn]:
    """The stand-in, with one user who is in one organisation."""
    with StandIn() as cloud:
        cloud.add_user(TOKEN)
        yield cloud

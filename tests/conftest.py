"""Fixtures of all packages' tests."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .standin import StandIn
from .support import TOKEN

WHOLLY = re.compile(r"^pytestmark = .*pytest\.mark\.(live|slow)\b", re.MULTILINE)
"""Marks every test of a file."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import files of which every test is left out."""
    if config.option.markexpr != "not live and not slow" or collection_path.suffix != ".py":
        return None
    return WHOLLY.search(collection_path.read_text("utf-8")) is not None or None


def pytest_collection_finish() -> None:
    """Let the garbage collector skip all that is there for as long as the process is."""
    gc.collect()
    gc.freeze()


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

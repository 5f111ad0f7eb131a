"""Fixtures of the tests of the stand-in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import StandIn
from .support import ADA, BOB, Client, MakeClient


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with StandIn() as standin:
        standin.add_user(ADA)
        standin.add_user(BOB, orgs=("globex",))
        yield standin


@pytest.fixture
def client(standin: StandIn) -> Iterator[MakeClient]:
    """Make clients of the stand-in, for a token and further headers."""
    made: list[Client] = []

    def make(token: str | None = ADA, **headers: str) -> Client:
        made.append(Client(standin.url, token, **headers))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


@pytest.fixture
def sdk(standin: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The official package, cut off from its environment and from every other host."""
    monkeypatch.setenv("BRAINTRUST_APP_URL", standin.url)
    monkeypatch.setenv("BRAINTRUST_DISABLE_ATEXIT_FLUSH", "true")
    monkeypatch.setenv("BRAINTRUST_PARAMETERS_CACHE_DIR", str(tmp_path / "parameters"))
    monkeypatch.setenv("BRAINTRUST_PROMPT_CACHE_DIR", str(tmp_path / "prompts"))
    # Away from any .env.braintrust beside or above the checkout.
    monkeypatch.chdir(tmp_path)
    resolve = socket.getaddrinfo

    def resolve_loopback(host: str, *args: Any, **kwargs: Any) -> Any:
        assert host == "127.0.0.1", f"the SDK reached for {host}"
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_loopback)
    braintrust = pytest.importorskip("braintrust")
    braintrust.logger._internal_reset_global_state()
    yield braintrust
    braintrust.logger._close_login_state(braintrust.logger._state)
    braintrust.logger._internal_reset_global_state()

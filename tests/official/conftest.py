from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.example_model import EXAMPLE_MODEL
from tests.server import Client, Gunicorn
from tests.standin import StandIn

from .dev_server import DevServer
from .outcome import Pair, client_of

HERE = Path(__file__).parent
CHAT = {
    "prompt": {"type": "chat", "messages": [{"role": "user", "content": "Greet {{name}}."}]},
    "options": {"model": EXAMPLE_MODEL},
}
SAVED: dict[str, Any] = {
    "schema": {
        "type": "object",
        "properties": {
            "model": {"type": "string", "x-bt-type": "model", "default": EXAMPLE_MODEL},
            "temperature": {"type": "number", "minimum": 0, "default": 0.5},
            "greeting": {"type": "string"},
            "main": {"type": "object", "x-bt-type": "prompt", "default": CHAT},
        },
        "required": ["greeting"],
        "additionalProperties": True,
    },
    "data": {"greeting": "hello", "temperature": 0.75},
    "versions": {"41": {"greeting": "version 41"}, "42": {"greeting": "in production"}},
    "environments": {"production": "42"},
}


@pytest.fixture(scope="session")
def shared_cloud() -> Iterator[StandIn]:
    with StandIn() as cloud:
        yield cloud


def fill(cloud: StandIn) -> StandIn:
    """Make the cloud what the servers found when they started."""
    cloud.reset()
    cloud.add_user("token-ada", orgs=("acme",))
    cloud.add_project("acme", "of its own")
    cloud.add_parameters("acme", "saved", "config", **SAVED)
    return cloud


@pytest.fixture
def cloud(shared_cloud: StandIn) -> StandIn:
    """The stand-in, with one user who is in one organisation."""
    return fill(shared_cloud)


@pytest.fixture(scope="session")
def environ(shared_cloud: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    cache = str(tmp_path_factory.mktemp("cache"))
    return {
        "BRAINTRUST_APP_URL": shared_cloud.url,
        "BRAINTRUST_API_KEY": "token-ada",  # with which saved parameters are loaded
        "BRAINTRUST_PARAMETERS_CACHE_DIR": cache,
        "BRAINTRUST_PROMPT_CACHE_DIR": cache,
        "BRAINTRUST_EVALS_HEARTBEAT": "0.2",
        "EXAMPLE_MODEL": EXAMPLE_MODEL,
        "CONTROL_URL": shared_cloud.url,
        "PROJECT_ID": shared_cloud.add_project("acme", "of its own"),
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def servers(shared_cloud: StandIn, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Both servers with all of ``evals/``."""
    fill(shared_cloud)
    with ExitStack() as running:
        official = DevServer(HERE / "evals", environ)
        running.callback(official.close)
        # Started while the other one is starting.
        ours = running.enter_context(_ours(HERE / "evals", environ))
        official.wait()
        yield official.url, ours.url + "/evals"


@pytest.fixture
def pair(servers: tuple[str, str], cloud: StandIn) -> Pair:
    return Pair(*servers, cloud)


class Apart:
    """Servers for files that one of the two does not take, started when a test asks for them."""

    def __init__(self, environ: Mapping[str, str], cloud: StandIn, running: ExitStack) -> None:
        self._environ = environ
        self._cloud = cloud
        self._running = running

    def official(self, name: str) -> Client:
        server = self._running.enter_context(DevServer(HERE / "apart" / name, self._environ))
        return client_of(server.url, self._cloud)

    def ours(self, name: str) -> Client:
        server = self._running.enter_context(_ours(HERE / "apart" / name, self._environ))
        return client_of(server.url + "/evals", self._cloud)

    def both(self, name: str) -> tuple[Client, Client]:
        return self.official(name), self.ours(name)

    def refusal(self, name: str) -> str:
        """What ours says where it does not start."""
        with _ours(HERE / "apart" / name, self._environ, wait=False) as server:
            assert server.process.wait(20) != 0
            return server.log


@pytest.fixture
def apart(environ: Mapping[str, str], cloud: StandIn) -> Iterator[Apart]:
    with ExitStack() as running:
        yield Apart(environ, cloud, running)


def _ours(files: Path, environ: Mapping[str, str], wait: bool = True) -> Gunicorn:
    settings = {**environ, "EVAL_FILES": str(files)}
    return Gunicorn("tests.official.app:create_app()", environ=settings, wait=wait)

"""The base class of all servers, which starts and ends a server's processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from benchmarks.machine import pinned
from benchmarks.sink import TOKEN

ROOT = Path(__file__).parents[2]
BENCH = ROOT / ".bench"
"""The folder that the other servers are installed in; not in the repository."""
HERE = Path(__file__).parent
START_TIMEOUT = 60.0
"""Seconds that a server may take until it answers."""
STOP_TIMEOUT = 10.0
"""Seconds that a server may take to end before it is killed."""


class ServerError(Exception):
    """A server is not available, or did not start."""


class Server:
    """A server on a port of 127.0.0.1. It runs until the context is exited.

    Args:
        cloud: the address of the stand-in for Braintrust that it uses.
        cores: the cores that it may use.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    path: ClassVar[str] = "/eval"
    unsupported: ClassVar[Mapping[str, str]] = {}
    """Tasks that it cannot run, and why."""

    def __init__(self, cloud: str, cores: set[int]) -> None:
        self._cloud = cloud
        self._cores = cores
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port: int = self._listener.getsockname()[1]

    @classmethod
    def prepare(cls) -> dict[str, str]:
        """Install what is missing, and return versions.

        Raises:
            ServerError: it cannot be installed or run on this machine.
        """
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def environ(self) -> dict[str, str]:
        """Return further environment variables for the server."""
        return {}

    keeps_listener: ClassVar[bool] = False
    """True: the server inherits the bound socket. False: it binds the same port again."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """Return the end of the server's output."""
        return Path(self._log.name).read_text("utf-8", "replace")[-3000:]

    def __enter__(self) -> Server:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BRAINTRUST")}
        self._work = tempfile.TemporaryDirectory(prefix="bench-")
        self._log = tempfile.NamedTemporaryFile("w+b", suffix=".log")
        if not self.keeps_listener:
            self._listener.close()
        with pinned(self._cores):
            self._process = subprocess.Popen(
                self.command(),
                # A server reads an .env.braintrust file from its folder or one above.
                cwd=self._work.name,
                env={
                    **clean,
                    "BRAINTRUST_APP_URL": self._cloud,
                    "BRAINTRUST_API_KEY": TOKEN,
                    "NO_PROXY": "127.0.0.1",
                    "no_proxy": "127.0.0.1",
                    **self.environ(),
                },
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                pass_fds=(self._listener.fileno(),) if self.keeps_listener else (),
                # A group of processes, so that the children of a crashed server can be ended.
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(f"{self.title} ended as it started:\n{self.log()}")
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                    return
            except HTTPError:
                return  # any answer shows that the server has started
            except (URLError, OSError):
                time.sleep(0.05)
        raise ServerError(f"{self.title} did not answer within {START_TIMEOUT:g} s:\n{self.log()}")

    def close(self) -> None:
        """End the server and all its children."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._listener.close()
        self._log.close()
        self._work.cleanup()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

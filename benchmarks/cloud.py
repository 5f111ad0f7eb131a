"""The cloud that all servers work with: a `sink` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from urllib.request import urlopen

import orjson

from .machine import pinned
from .servers.base import ROOT

STEP = 0.1


@dataclass(frozen=True)
class Received:
    """What has reached the cloud since it was reset.

    Attributes:
        cpu: processor time of the cloud's process, in seconds, since it was started.
        requests: with spans in them.
        bytes: of those requests' bodies.
        spans: that have ended.
        pages: of datasets that were asked for.
    """

    cpu: float
    requests: int
    bytes: int
    spans: int
    pages: int


class Cloud:
    """A running sink, from entering until leaving the context."""

    def __init__(self, cores: set[int]) -> None:
        with pinned(cores):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.sink"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def reset(self) -> Received:
        return self._ask("reset")

    def received(self) -> Received:
        return self._ask("received")

    def wait_for(self, spans: int, limit: float) -> Received:
        """Wait until so many spans have come, but no longer than ``limit`` seconds."""
        deadline = time.monotonic() + limit
        received = self.received()
        while received.spans < spans and time.monotonic() < deadline:
            time.sleep(STEP)
            received = self.received()
        return received

    def _ask(self, what: str) -> Received:
        with urlopen(f"{self.url}/benchmark/{what}", timeout=60) as answer:
            return Received(**orjson.loads(answer.read()))

    def __enter__(self) -> Cloud:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

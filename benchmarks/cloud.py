"""The stand-in for Braintrust that all servers use: a `sink` in its own process."""

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
"""Seconds between two requests of :meth:`Cloud.wait_for`."""


@dataclass(frozen=True)
class Received:
    """Counts of the data that the cloud has received since it was reset.

    Attributes:
        cpu: processor time of the cloud's process, in seconds, since it was started.
        requests: the number of requests with spans.
        bytes: the size of the bodies of these requests.
        spans: the number of spans that have ended.
        pages: the number of pages of datasets that were requested.
    """

    cpu: float
    requests: int
    bytes: int
    spans: int
    pages: int


class Cloud:
    """A sink that runs until the context is exited."""

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
        """Wait until ``spans`` spans have arrived, at most ``limit`` seconds."""
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

"""A web server with its workers, as real processes, and what tests ask and do to them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from tests.server import Client, Gunicorn, Sent, Stream

from .workers import CeleryWorker

LEASE = 1.5
"""Seconds; short, so that the tests are."""
SOON = 30.0
"""Seconds that anything may take on a machine that is busy."""


class Site:
    """Servers and workers of ``site_app`` that share a queue, a journal and a broker.

    Args:
        folder: for the journal and the logs.
        broker: the address of the broker, as servers have it.
        lease: seconds.
    """

    def __init__(self, folder: Path, broker: str, lease: float = LEASE) -> None:
        self.folder = folder
        self.broker = broker
        self.queue = f"evals-{uuid4().hex}"
        self.lease = lease
        self._workers: dict[str, CeleryWorker] = {}
        self._servers: list[Gunicorn] = []
        self._read = 0
        self._mark = ""
        self.journal.touch()

    @property
    def journal(self) -> Path:
        """The file that tasks write to."""
        return self.folder / "journal"

    def environ(self, **others: str) -> dict[str, str]:
        """Return the variables of its processes."""
        return {
            "TEST_BROKER": self.broker,
            "TEST_FOLDER": str(self.folder),
            "BRAINTRUST_EVALS_AUTH": "none",
            "BRAINTRUST_EVALS_QUEUE": self.queue,
            "BRAINTRUST_EVALS_WORKER_LEASE": str(self.lease),
            "BRAINTRUST_EVALS_HEARTBEAT": "0.2",
            **others,
        }

    def serve(self, worker_class: str = "gevent", *options: str, **environ: str) -> Gunicorn:
        """Start a server."""
        server = Gunicorn(
            "tests.celery.site_app:create_app()",
            worker_class=worker_class,
            options=options,
            environ=self.environ(**environ),
        )
        self._servers.append(server)
        return server

    def worker(self, name: str, *options: str, **environ: str) -> CeleryWorker:
        """Return a worker with a name, which is started if it does not run."""
        found = self._workers.get(name)
        # Kombu may raise an AttributeError when a connection to Redis is lost, and Celery then ends
        # the worker, which takes it seconds. Until then it looks like one that runs.
        if found is not None and "Unrecoverable error" in found.log:
            found.kill()
        if found is None or found.process.poll() is not None:
            found = self._workers[name] = self.start_worker(name, *options, **environ)
        return found

    def start_worker(self, name: str, *options: str, **environ: str) -> CeleryWorker:
        """Start a worker, and wait until it is ready."""
        variables = self.environ(TEST_WORKER="1", **environ)
        log = self.folder / f"{name}-{uuid4().hex[:4]}.log"
        worker = CeleryWorker(
            log, "tests.celery.site_app", self.queue, *options, environ=variables, name=name
        )
        self._workers[uuid4().hex if name in self._workers else name] = worker
        worker.wait_until_ready()
        return worker

    def close(self) -> None:
        """End all processes."""
        for server in self._servers:
            server.close()
        for worker in self._workers.values():
            worker.kill()

    # --- The journal ---

    def begin(self) -> None:
        """Forget what was written to the journal so far, and shut the gate."""
        self._read = len(self._lines())
        self._mark = uuid4().hex[:8]
        (self.folder / "open").unlink(missing_ok=True)

    def inputs(self, count: int) -> list[str]:
        """Return inputs that no other test has: cases of others may still be under way."""
        return [f"{self._mark}-{number}" for number in range(count)]

    def open(self) -> None:
        """Let gated tasks return."""
        (self.folder / "open").touch()

    def noted(self, word: str) -> list[str]:
        """Return what follows a word in the journal, since :meth:`begin`."""
        found = (line.partition(" ") for line in self._lines()[self._read :])
        return [rest for first, _, rest in found if first == word]

    def noted_inputs(self, word: str) -> list[str]:
        """Return likewise those that are :meth:`inputs`."""
        return [each for each in self.noted(word) if each.startswith(self._mark)]

    def _lines(self) -> list[str]:
        return self.journal.read_text().splitlines()


def wait_until(condition: Callable[[], Any], seconds: float = SOON) -> float:
    """Wait until a condition is true; return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, condition
        time.sleep(0.01)
    return time.monotonic() - began


def client_of(server: Gunicorn) -> Client:
    """Return a client, which needs no token."""
    return Client(f"{server.url}/evals", token=None, org=None)


def resources(server: Gunicorn) -> dict[str, int]:
    """Return what the server's process holds."""
    found: dict[str, int] = requests.get(f"{server.url}/resources", timeout=10).json()
    return found


def read_all(stream: Stream, also: list[Sent] | None = None) -> list[Sent]:
    """Read a stream to its end."""
    return [*(also or ()), *stream]


def results(events: list[Sent]) -> Counter[str]:
    """Return how many results each case has, by its id."""
    progress = [each.json for each in events if each.event == "progress"]
    return Counter(each["id"] for each in progress if each["event"] in ("json_delta", "error"))


def failures(events: list[Sent]) -> list[str]:
    """Return the failures of cases."""
    progress = [each.json for each in events if each.event == "progress"]
    return [each["data"] for each in progress if each["event"] == "error"]


def check_counted_once(events: list[Sent], count: int) -> dict[str, Any]:
    """Check that each case has one result, and is counted once; return the summary."""
    assert [each.event for each in events[-2:]] == ["summary", "done"], events[-2:]
    by_case = results(events)
    assert len(by_case) == count
    assert {*by_case.values()} == {1}, by_case
    ends = [e.json["id"] for e in events if e.event == "progress" and e.json["event"] == "done"]
    assert Counter(ends) == by_case
    summary: dict[str, Any] = json.loads(events[-2].data)
    return summary

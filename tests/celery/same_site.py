"""A server of :mod:`.same_app`, the cloud that it speaks to, and its workers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.example_model import EXAMPLE_MODEL
from tests.official.conftest import SAVED
from tests.server import SDK, Client, Gunicorn
from tests.standin import StandIn

from .comparison import of_attachments, of_calls, of_events, of_spans
from .same_runs import Comparable
from .workers import CELERY, CeleryWorker

QUEUE = "same-results"
POOLS = {
    "prefork": ("-P", "prefork", "-c", "2"),
    # With all that Celery can log and tell.
    "threads": ("-P", "threads", "-c", "8", "-E", "-l", "DEBUG"),
}
TOKEN = "token-swordfish"
FORKED_WITH = (*CELERY, *SDK)
"""What the workers, and commands, have imported before they are forked."""


def judge(arguments: Any, cloud: StandIn) -> Any:
    """Return a score with what it was told of the case, and could read of its trace."""
    trace_id = arguments["trace"]["trace_ref"]["root_span_id"]
    tasks = [span for span in cloud.spans_named("task") if span.trace_id == trace_id]
    told = {"seen": sorted(arguments), "tasks": len(tasks)}
    return {"name": "exact_match", "score": 0.25, "metadata": told}


def broken(arguments: Any) -> Any:
    raise RuntimeError("no judge today")


BLUEPRINTS = ("own", "first", "second", "live", "sdk", "traced", "example", "official")


class Site:
    """A server, the cloud that it speaks to, and the workers, if it has any.

    Args:
        executor: the setting of the server.
        broker: the address of the broker.
        folder: for logs and caches.
        openai_url: the address of the models.
    """

    def __init__(self, executor: str, broker: str, folder: Path, openai_url: str) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self.cloud = self._stack.enter_context(StandIn())
        fill(self.cloud)
        self.environ = {
            "BRAINTRUST_APP_URL": self.cloud.url,
            "BRAINTRUST_API_KEY": TOKEN,  # with which saved parameters are loaded
            "BRAINTRUST_PARAMETERS_CACHE_DIR": str(folder),
            "BRAINTRUST_PROMPT_CACHE_DIR": str(folder),
            "BRAINTRUST_EVALS_EXECUTOR": executor,
            "BRAINTRUST_EVALS_QUEUE": QUEUE,
            "BRAINTRUST_EVALS_TRACER_PROVIDER": "true",
            "CONTROL_URL": self.cloud.url,
            "EXAMPLE_MODEL": EXAMPLE_MODEL,
            "NO_PROXY": "127.0.0.1",
            "OPENAI_URL": openai_url,
            "LOG_LEVEL": "DEBUG",
            "SDK_KEY": f"{TOKEN}-of-the-application",
            "TEST_BROKER": broker,
        }
        self.server = self._stack.enter_context(
            Gunicorn("tests.celery.same_app:create_app()", environ=self.environ, libraries=SDK)
        )

    @contextmanager
    def worker(self, pool: str) -> Iterator[CeleryWorker]:
        """Start a worker, wait until it takes cases, and end it after the block."""
        log = self._folder / f"{pool}.log"
        module = "tests.celery.same_worker"
        worker = CeleryWorker(
            log, module, QUEUE, *POOLS[pool], environ=self.environ, libraries=FORKED_WITH
        )
        try:
            worker.wait_until_ready()
            yield worker
        finally:
            worker.kill()

    def close(self) -> None:
        self._stack.close()

    def outcome(self, run: Comparable) -> dict[str, Any]:
        """Run an evaluator, and return what its caller and Braintrust get."""
        cloud = self.cloud
        called = len(cloud.calls)
        fields = {**run.fields, "data": run.data or {"own": True}}
        object_id = f"{run.where} {zlib.crc32(str(run).encode())}"
        if run.parent is not None:
            fields["parent"] = {"object_type": "playground_logs", "object_id": object_id}
            fields["parent"].update(run.parent)
        try:
            events = self.client(run.where).run(run.name, **fields)
        except AssertionError as error:
            raise AssertionError(f"{run}: {error}\n{self.server.log[-5000:]}") from None
        if run.parent is None:
            parent = f"experiment_id:{events[0].json['experimentId']}"
        else:
            parent = f"playground_id:{object_id}"
        if run.is_cut_short:
            return {"events": of_events(events)}
        return {
            "events": of_events(events),
            **of_spans(cloud, parent),
            "calls": of_calls(cloud.calls[called:]),
        }

    def client(self, where: str) -> Client:
        """Return a client whose requests have the token wherever one may be."""
        client = Client(f"{self.server.url}/{where}", token=TOKEN)
        client.headers |= {"Authorization": f"Bearer {TOKEN}", "Cookie": f"session={TOKEN}"}
        client.headers["X-Of-The-Application"] = TOKEN
        return client

    def attachments(self, number: int = 0) -> list[Any]:
        """Return what was stored, once it is so much and nothing is under way: no run waits."""

        def are_done() -> bool:
            kept = self.cloud.attachments
            under_way = [each for each in kept if each.status["upload_status"] == "uploading"]
            return len(kept) >= number and not under_way

        self.cloud.wait_for(are_done, 30)
        return of_attachments(self.cloud.attachments)


def fill(cloud: StandIn) -> None:
    """Make a cloud what it is before the first run."""
    cloud.reset()
    cloud.add_user(TOKEN, orgs=("acme",))
    cloud.add_project("acme", "of its own")
    cloud.add_parameters("acme", "saved", "config", **SAVED)
    cloud.add_function(partial(judge, cloud=cloud), id="judge-id")
    cloud.add_function(broken, id="broken-id")
    rows = [{"input": n, "expected": n, "metadata": {"row": n}, "tags": ["t"]} for n in range(3)]
    cloud.add_dataset("acme", "golden", "rows", rows)
    image = {"type": "braintrust_attachment", "key": "key-1", "filename": "a.png"}
    image["content_type"] = "image/png"
    cloud.add_dataset("acme", "golden", "images", [{"input": {"image": image}}])

"""Every evaluator gives the same events and the same spans, here and on workers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.example_model import EXAMPLE_MODEL
from tests.official.conftest import SAVED
from tests.openai_api import openai_api
from tests.server import SDK, Client, Gunicorn
from tests.standin import StandIn

from .brokers import RedisBroker
from .comparison import differences, of_attachments, of_calls, of_events, of_spans
from .same_runs import LEFT_OUT, OF_POOL, RUNS, Comparable
from .workers import CeleryWorker

pytestmark = [pytest.mark.live, pytest.mark.slow]

QUEUE = "same-results"
POOLS = {"prefork": ("-P", "prefork", "-c", "2"), "threads": ("-P", "threads", "-c", "8")}


def judge(arguments: Any) -> Any:
    return {"name": "exact_match", "score": 0.25, "metadata": {"seen": sorted(arguments)}}


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
            "BRAINTRUST_API_KEY": "token-ada",  # with which saved parameters are loaded
            "BRAINTRUST_PARAMETERS_CACHE_DIR": str(folder),
            "BRAINTRUST_PROMPT_CACHE_DIR": str(folder),
            "BRAINTRUST_EVALS_EXECUTOR": executor,
            "BRAINTRUST_EVALS_QUEUE": QUEUE,
            "BRAINTRUST_EVALS_TRACER_PROVIDER": "true",
            "CONTROL_URL": self.cloud.url,
            "EXAMPLE_MODEL": EXAMPLE_MODEL,
            "NO_PROXY": "127.0.0.1",
            "OPENAI_URL": openai_url,
            "SDK_KEY": "token-app",
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
        worker = CeleryWorker(log, module, QUEUE, *POOLS[pool], environ=self.environ)
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
        events = Client(f"{self.server.url}/{run.where}").run(run.name, **fields)
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
    cloud.add_user("token-ada", orgs=("acme",))
    cloud.add_project("acme", "of its own")
    cloud.add_parameters("acme", "saved", "config", **SAVED)
    cloud.add_function(judge, id="judge-id")
    cloud.add_function(broken, id="broken-id")
    rows = [{"input": n, "expected": n, "metadata": {"row": n}, "tags": ["t"]} for n in range(3)]
    cloud.add_dataset("acme", "golden", "rows", rows)
    image = {"type": "braintrust_attachment", "key": "key-1", "filename": "a.png"}
    image["content_type"] = "image/png"
    cloud.add_dataset("acme", "golden", "images", [{"input": {"image": image}}])


@pytest.fixture(scope="module")
def openai_url() -> Iterator[str]:
    with openai_api() as url:
        yield url


@pytest.fixture(scope="module")
def local(
    openai_url: str, redis_broker: RedisBroker, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], list[Any]]:
    """What the runs give without workers, and the attachments that they have stored."""
    folder = tmp_path_factory.mktemp("local")
    with closing(Site("local", redis_broker.url, folder, openai_url)) as site:
        for where in BLUEPRINTS:
            served = {*Client(f"{site.server.url}/{where}").manifest()}
            compared = {run.name for run in RUNS if run.where == where}
            assert served - compared == LEFT_OUT.get(where, set()), where
        outcomes = {str(run): site.outcome(run) for run in RUNS}
        return outcomes, site.attachments()


@pytest.fixture(scope="module")
def site(
    openai_url: str, redis_broker: RedisBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A server whose cases run on workers."""
    folder = tmp_path_factory.mktemp("celery")
    with closing(Site("celery", redis_broker.url, folder, openai_url)) as site:
        yield site


@pytest.mark.parametrize("pool", POOLS)
def test_workers_give_the_same_events_and_spans(
    pool: str, local: tuple[dict[str, Any], list[Any]], site: Site
) -> None:
    fill(site.cloud)
    outcomes, attachments = local
    runs = OF_POOL[pool]
    found = []
    with site.worker(pool) as worker:
        for run in runs:
            outcome = outcomes[str(run)]
            assert outcome.get("traces", True) or outcome.get("rows"), run
            found += [f"{run}: {each}" for each in differences(outcome, site.outcome(run))]
        found += differences(attachments, site.attachments(len(attachments)), "attachments")
        assert worker.log.count("Task braintrust_evals.case[") > 2 * len(runs)
    assert not found, "\n".join(found)

"""Fixtures with real brokers, which end when the tests do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RABBITMQ

from .brokers import Broker, RabbitBroker, RedisBroker, why_absent
from .workers import CeleryWorker

StartWorker = Callable[..., CeleryWorker]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what needs a broker of its own, or a worker."""
    params = getattr(item, "callspec", None)
    needs = {*getattr(item, "fixturenames", ())}
    needs |= {str(value) for value in params.params.values()} if params else set()
    if needs & {"rabbitmq", "rabbitmq_broker"}:
        assert RABBITMQ in item.name, "or several processes start RabbitMQ"
        item.add_marker("rabbitmq")
        item.add_marker("slow")
    if needs & {"redis", "redis_broker"}:
        item.add_marker("redis")
        item.add_marker("slow")
    if "start_worker" in needs:
        item.add_marker("slow")


@pytest.fixture(scope="session")
def redis_broker() -> Iterator[RedisBroker]:
    """A Redis that the tests of a process share: each has a queue of its own."""
    _skip_if_absent("redis")
    broker = RedisBroker()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def rabbitmq_broker() -> Iterator[RabbitBroker]:
    """A RabbitMQ that the tests of a process share, because it takes ten seconds to start."""
    _skip_if_absent("rabbitmq")
    broker = RabbitBroker()
    yield broker
    broker.stop()


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each of the real brokers."""
    found: Broker = request.getfixturevalue(f"{request.param}_broker")
    return found


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers of Celery, and ends them after the test."""
    workers: list[CeleryWorker] = []

    def start(app: str, queue: str, *options: str, **others: Any) -> CeleryWorker:
        log = tmp_path / f"worker{len(workers)}.log"
        worker = CeleryWorker(log, app, queue, *options, **others)
        workers.append(worker)
        worker.wait_until_ready()
        return worker

    yield start
    for worker in workers:
        worker.kill()


def _skip_if_absent(name: str) -> None:
    reason = why_absent(name)
    if reason:
        pytest.skip(reason)

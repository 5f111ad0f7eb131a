"""Servers and workers whose ``SECRET_KEY`` differs for a while, as in a rolling deployment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.distribution.messaging.messages import MessageWriter
from flask_braintrust_evals.distribution.worker import returned_orders
from flask_braintrust_evals.engine.evaluator import Evaluator
from tests.engine.support import inputs, results_of
from tests.support import eventually, in_time

from .memory import MemoryBroker
from .support import Site, site

EVALUATOR = Evaluator("echo", lambda input: input)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(returned_orders, "RETURN_PAUSE", 0.05)
    with site(EVALUATOR, workers=0, lease=30) as made:
        yield made


def run_all(there: Site) -> list[Any]:
    return [*there.new_run(EVALUATOR, inputs(*range(10)))]


def test_what_a_worker_with_another_key_gets_is_run_by_others(there: Site) -> None:
    other = there.workers.start(secret="another secret")
    outcome: list[Any] = []
    running = threading.Thread(target=lambda: outcome.extend(run_all(there)), daemon=True)
    running.start()
    eventually(lambda: any(there.broker.returns.values()))
    there.workers.kill(other)  # this broker would give it everything: it is not fair
    there.workers.start()
    running.join(10)
    assert sorted(result.output for result in results_of(outcome)) == [*range(10)]


def test_an_order_that_nobody_can_verify_is_dropped_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, there: Site
) -> None:
    monkeypatch.setattr(returned_orders, "MAX_RETURNS", 3)
    worker = there.workers.start(slots=0)
    broker: MemoryBroker = there.broker
    order = MessageWriter("another secret", 1000).write("order", {})
    with caplog.at_level(logging.WARNING):
        for returns in range(4):
            in_time(lambda returns=returns: worker.perform(order, False, returns))  # type: ignore[misc]
    assert broker.orders.qsize() == 3
    assert broker.returns[order.signature] == 3
    assert "an order is dropped, which no worker could verify: the signature" in caplog.text
    assert "another secret" not in caplog.text


def test_settings_say_which_keys_others_may_have() -> None:
    config = {
        "BRAINTRUST_EVALS_EXECUTOR": "celery",
        "SECRET_KEY": "new",
        "SECRET_KEY_FALLBACKS": ["old", b"older"],
    }
    settings = Settings.load(config, {}).distribution
    assert settings is not None
    assert settings.old_secrets == ("old", b"older")
    assert "old" not in repr(settings)


def test_the_pause_ends_with_the_worker(monkeypatch: pytest.MonkeyPatch, there: Site) -> None:
    monkeypatch.setattr(returned_orders, "RETURN_PAUSE", 1000)
    worker = there.workers.start(slots=0)
    order = MessageWriter("another secret", 1000).write("order", {})
    waiting = threading.Thread(target=lambda: worker.perform(order, False), daemon=True)
    waiting.start()
    worker.stop()
    waiting.join(10)
    assert not waiting.is_alive()
    assert there.broker.orders.qsize() == 1


def test_nothing_is_raised_while_the_broker_is_down(
    caplog: pytest.LogCaptureFixture, there: Site
) -> None:
    worker = there.workers.start(slots=0)
    there.broker.is_up = False
    order = MessageWriter("another secret", 1000).write("order", {})
    in_time(lambda: worker.perform(order, False))
    assert "an order could not be given back" in caplog.text

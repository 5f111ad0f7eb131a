"""The task that runs cases, in real workers: what it says of losses, and what it never shows."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.events.receiver import EventReceiver

from flask_braintrust_evals.contrib.celery.hosting import is_ending, warnings_for
from flask_braintrust_evals.contrib.celery.task import acknowledge_again
from flask_braintrust_evals.contrib.celery.transport import CeleryTransport
from flask_braintrust_evals.distribution.messaging.messages import Message

from .brokers import Broker, RedisBroker
from .conftest import StartWorker
from .support import SOON, Listening, connected, listening, new_app, new_queue

MARK = "swordfish"
"""A text in every case, which must be seen nowhere."""
HOSTILE = {
    "task_acks_late": False,
    "task_acks_on_failure_or_timeout": False,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": False,
    "task_store_errors_even_if_ignored": True,
    "task_track_started": True,
    "task_default_rate_limit": "1/h",
    "task_annotations": {"*": {"acks_late": False, "rate_limit": "1/h", "ignore_result": False}},
    "task_serializer": "pickle",
    "task_send_sent_event": True,
    "worker_send_task_events": True,
}
"""Settings that an application may have for its own tasks."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Bench:
    """An owner that orders from workers of ``echo_app``, and hears what they say."""

    def __init__(self, broker: Broker, start_worker: StartWorker) -> None:
        self.broker = broker
        self.app: Celery = new_app(broker.url)
        self.transport = CeleryTransport(self.app, new_queue())
        self.owner = f"{self.transport.queue}.reply.{uuid4().hex}"
        self._start_worker = start_worker
        self._heard = 0
        self.listener: Listening

    def start_worker(self, *options: str, **settings: Any) -> Any:
        environ = {
            "TEST_BROKER": self.broker.url,
            "TEST_QUEUE": self.transport.queue,
            "TEST_SETTINGS": json.dumps(settings),
        }
        return self._start_worker(
            "tests.celery.echo_app", self.transport.queue, *options, environ=environ
        )

    def order(self, *what: str, returns: int = 0) -> None:
        with connected(self.transport) as sender:
            for do in what:
                text = json.dumps({"do": do, "owner": self.owner, "case": MARK})
                sender.send_order(Message(f"j{text}", "s" * 64), returns)

    def hear(self, count: int) -> list[Any]:
        """The next reports."""
        end = self._heard + count
        found = self.listener.wait_for(end)[self._heard : end]
        self._heard = end
        return [json.loads(report.text) for report in found]


@contextmanager
def bench(broker: Broker, start_worker: StartWorker) -> Iterator[Bench]:
    found = Bench(broker, start_worker)
    with listening(found.transport.listen_for_reports, found.owner) as found.listener:
        yield found


@pytest.fixture
def on_redis(redis_broker: RedisBroker, start_worker: StartWorker) -> Iterator[Bench]:
    with bench(redis_broker, start_worker) as found:
        yield found


@pytest.fixture
def anywhere(broker: Broker, start_worker: StartWorker) -> Iterator[Bench]:
    with bench(broker, start_worker) as found:
        yield found


def test_losses_are_reported_whatever_the_settings_for_other_tasks(on_redis: Bench) -> None:
    worker = on_redis.start_worker("-c", "1", "--time-limit", "4", **HOSTILE)
    on_redis.order("run")
    performs, done = on_redis.hear(2)
    assert performs[:3] == ["performs", "run", False]
    pid, started = performs[3:]
    assert started == [worker.name, f"{worker.name}/{pid}", "prefork", 1]
    assert done == ["done", "run"]

    lost = {
        "die": "the process that ran it has died",
        "exit": "the process that ran it has died",
        "fail": "the worker failed: ValueError",
        "wait": "it was ended by Celery's task_time_limit of 4.0 seconds",
    }
    for do, reason in lost.items():
        on_redis.order(do)
        performs, report = on_redis.hear(2)
        assert performs[:3] == ["performs", do, False]
        assert report == ["lost", do, reason]
    assert on_redis.hear(1) == [["ends", True]]  # Celery says so first, and its reason counts
    assert "this worker has" not in worker.log
    for returns in (0, 2):
        on_redis.order("count", returns=returns)
        assert on_redis.hear(3)[1] == ["was given back", returns]
    # None of them comes again, and each of them once.
    on_redis.order("run")
    assert [said[:2] for said in on_redis.hear(2)] == [["performs", "run"], ["done", "run"]]
    assert MARK not in worker.log.replace("ValueError: swordfish", "")


def test_a_soft_time_limit_is_a_loss(on_redis: Bench) -> None:
    on_redis.start_worker("-c", "1", task_soft_time_limit=1)
    on_redis.order("wait")
    assert on_redis.hear(2)[1][2] == "it was ended by Celery's task_soft_time_limit"


@contextmanager
def captured_events(found: Bench) -> Iterator[list[Any]]:
    """What workers tell monitors, from now on."""
    events: list[Any] = []
    with found.app.connection_for_read() as connection:
        receiver = EventReceiver(connection, {"*": events.append}, app=found.app)

        def work() -> None:
            with suppress(TimeoutError):
                receiver.capture(limit=None, timeout=2 * SOON, wakeup=False)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        # The worker sends a heartbeat every two seconds.
        wait_until(lambda: bool(events))
        yield events
        receiver.should_stop = True
        thread.join(SOON)


def test_a_case_is_shown_nowhere_and_is_lost_if_it_is_revoked(on_redis: Bench) -> None:
    worker = on_redis.start_worker("-c", "1", "-E", "-l", "DEBUG", "--prefetch-multiplier", "2")
    with captured_events(on_redis) as events:
        on_redis.order("wait", "count", "run")
        on_redis.hear(1)
        inspect = on_redis.app.control.inspect([worker.name], timeout=SOON)
        wait_until(lambda: bool(inspect.reserved()[worker.name]))
        shown = [inspect.active(), inspect.reserved(), inspect.scheduled(), inspect.report()]
        (active,), (reserved,) = (each[worker.name] for each in shown[:2])
        assert active["name"] == reserved["name"] == "braintrust_evals.case"
        assert active["args"] == reserved["args"] == "(...)"
        on_redis.app.control.revoke(reserved["id"])
        on_redis.app.control.revoke(active["id"], terminate=True)
        said = on_redis.hear(5)
        assert ["lost", "count", "it was revoked in Celery, or has expired there"] in said
        assert ["lost", "wait", "its process was terminated through Celery"] in said
        assert ["ends", True] in said
        assert ["done", "run"] in said
        wait_until(lambda: any(event["type"] == "task-succeeded" for event in events))
    assert {"task-received", "task-started", "task-succeeded"} <= {e["type"] for e in events}
    assert MARK not in repr((shown, events))
    assert worker.log.count("TaskPool: Apply") == 2
    assert MARK not in worker.log


def test_a_worker_that_does_not_know_the_task_shows_no_case(on_redis: Bench) -> None:
    environ = {"TEST_BROKER": on_redis.broker.url}
    queue = on_redis.transport.queue
    worker = on_redis._start_worker("tests.celery.bare_app", queue, "-P", "solo", environ=environ)
    on_redis.order("run")
    wait_until(lambda: "unregistered task" in worker.log)
    assert MARK not in worker.log


def test_a_redelivered_order_is_known_as_one_by_every_kind_of_worker(anywhere: Bench) -> None:
    settings = soon_redelivered(anywhere)
    first = anywhere.start_worker("-P", "solo", **settings)
    anywhere.order("wait")
    ((*performs, pid, started),) = anywhere.hear(1)
    assert performs == ["performs", "wait", False]
    assert started == [first.name, f"{first.name}/{pid}", "solo", 1]
    first.kill()
    options = ("-P", "threads", "-c", "3", "--prefetch-multiplier", "2")
    second = anywhere.start_worker(*options, **settings)
    ((*performs, pid, started),) = anywhere.hear(1)
    assert performs == ["performs", "wait", True]
    assert started == [second.name, f"{second.name}/{pid}", "threads", 3]
    assert pid == second.process.pid
    assert "this worker has --prefetch-multiplier 2" in second.log


def soon_redelivered(found: Bench) -> dict[str, Any]:
    """Settings with which the broker soon delivers again what a killed worker had."""
    if found.broker.name != "redis":
        return {}
    options = {
        "visibility_timeout": 1,
        "unacked_restore_interval": 0.2,
        "unacked_restore_throttle": 1,
        # The worker that is killed may hold the lock for this, which is kept for five minutes.
        "unacked_mutex_key": f"{found.transport.queue}.mutex",
        "unacked_mutex_expire": 1,
    }
    return {"broker_transport_options": options}


@pytest.mark.parametrize(
    ("pool", "multiplier", "settings", "said"),
    [
        ("prefork", 1, {}, []),
        ("thread", 1, {}, []),
        ("prefork", 4, {}, ["has --prefetch-multiplier 4.*Start it with --prefetch-multiplier 1"]),
        ("prefork", 4, {"worker_disable_prefetch": True}, []),
        ("gevent", 1, {}, ["has the pool gevent.*-P threads"]),
        ("eventlet", 0, {}, ["has --prefetch-multiplier 0", "has the pool eventlet"]),
    ],
)
def test_unsuitable_options_are_known(
    pool: str, multiplier: int, settings: dict[str, Any], said: list[str]
) -> None:
    worker = SimpleNamespace(
        app=new_app("memory://", **settings),
        pool_cls=type("TaskPool", (), {"__module__": f"celery.concurrency.{pool}"}),
        prefetch_multiplier=multiplier,
    )
    found = warnings_for(worker)
    assert len(found) == len(said)
    assert all(re.search(pattern, text) for pattern, text in zip(said, found, strict=True))


def test_without_an_application_that_runs_cases_the_worker_says_so(
    redis_broker: RedisBroker, start_worker: StartWorker
) -> None:
    app = new_app(redis_broker.url)
    transport = CeleryTransport(app, new_queue())
    worker = start_worker(
        "tests.celery.bare_app",
        transport.queue,
        "-P",
        "solo",
        "--include",
        "flask_braintrust_evals.contrib.celery.task",
        environ={"TEST_BROKER": redis_broker.url},
        fresh=True,
    )
    with connected(transport) as sender:
        sender.send_order(Message(f'j"{MARK}"', "s"))
    wait_until(lambda: "BRAINTRUST_EVALS_EXECUTOR = 'celery'" in worker.log)
    assert MARK not in worker.log


def test_a_process_that_nobody_told_to_end_does_not_end() -> None:
    assert not is_ending()


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_an_acknowledgement_over_a_dead_connection_is_repeated_once(failures: int) -> None:
    outcomes = iter([*[ConnectionError("dead")] * failures, None])
    calls: list[dict[str, bool]] = []

    def ack(**options: bool) -> None:
        calls.append(options)
        if (outcome := next(outcomes)) is not None:
            raise outcome

    message = SimpleNamespace(ack=ack)
    acknowledge_again(message)
    with suppress(ConnectionError) if failures == 2 else nullcontext():
        message.ack(multiple=False)
    assert calls == [{"multiple": False}] * min(failures + 1, 2)


def test_an_acknowledgement_over_a_closed_channel_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel: Any = SimpleNamespace(client=None)
    message = SimpleNamespace(ack=lambda **options: channel.client.hostname)
    acknowledge_again(message)
    message.ack(multiple=False)
    assert "the broker delivers it again" in caplog.text

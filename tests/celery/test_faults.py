"""What becomes of runs when processes, brokers and connections die. Nothing here ends politely."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.server import Client, Gunicorn, Sent, Stream

from .brokers import RabbitBroker, RedisBroker, why_absent
from .proxy import Proxy
from .site import (
    LEASE,
    Site,
    check_counted_once,
    client_of,
    failures,
    read_all,
    resources,
    results,
    wait_until,
)

pytestmark = [pytest.mark.slow, pytest.mark.redis]


class Scene:
    """A site on a Redis of its own. Its server and one of its two workers have proxies to it."""

    def __init__(self, folder: Path) -> None:
        self.redis = RedisBroker()
        self.proxy_of_server = Proxy(self.redis.port)
        self.proxy_of_worker = Proxy(self.redis.port)
        self.site = Site(folder, self.redis.url)
        self.server: Gunicorn
        self.client: Client

    def set_up(self) -> None:
        """Have both workers run, and the server."""
        self.worker_one()
        self.site.worker("two", "-c", "2")
        if not hasattr(self, "server"):
            self.server = self.site.serve(TEST_BROKER=_url(self.proxy_of_server))
            self.client = client_of(self.server)
        self.site.begin()

    def worker_one(self) -> Any:
        """Return the worker with a proxy."""
        environ = {"TEST_BROKER": _url(self.proxy_of_worker)}
        return self.site.worker("one", "-c", "2", **environ)

    def close(self) -> None:
        self.site.close()
        self.proxy_of_server.close()
        self.proxy_of_worker.close()
        self.redis.stop()


def _url(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


@pytest.fixture(scope="module")
def shared_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if reason := why_absent("redis"):
        pytest.skip(reason)
    scene = Scene(tmp_path_factory.mktemp("scene"))
    yield scene
    scene.close()


@pytest.fixture
def scene(shared_scene: Scene) -> Scene:
    shared_scene.set_up()
    return shared_scene


def counted(*inputs: Any) -> dict[str, Any]:
    """Data whose first case has a score of 0, and all others 1: the mean shows what is counted."""
    expected = ["another", *inputs[1:]]
    pairs = zip(inputs, expected, strict=True)
    return {"data": [{"input": value, "expected": wanted} for value, wanted in pairs]}


def check_all_succeeded(events: list[Sent], count: int) -> None:
    """Check that each of the cases of :func:`counted` has succeeded, and is counted once."""
    summary = check_counted_once(events, count)
    assert failures(events) == []
    assert summary["scores"]["same"]["score"] == pytest.approx((count - 1) / count)


def until_results(stream: Stream, count: int) -> list[Sent]:
    """Read a stream until so many cases have results."""
    events: list[Sent] = []
    while len(results(events)) < count:
        events.append(stream.next())
    return events


def test_a_case_whose_process_dies_runs_again(scene: Scene) -> None:
    inputs = [*range(20), "die-a", "die-b", "die-c"]
    events = scene.client.run("dies-once", counted(*inputs))
    check_all_succeeded(events, len(inputs))
    ran = scene.site.noted("dies-once")
    for name in ("die-a", "die-b", "die-c"):
        assert ran.count(name) == 2


def test_a_case_that_kills_every_process_fails_alone_after_three_losses(scene: Scene) -> None:
    inputs = [*range(20), "poison", *range(20, 40)]
    events = scene.client.run("poison", counted(*inputs))
    summary = check_counted_once(events, len(inputs))
    assert failures(events) == [
        "CaseLostError: the worker process that ran this case was lost 3 times; the last time the"
        " process that ran it has died"
    ]
    assert summary["scores"]["same"]["score"] == pytest.approx(39 / 40)
    assert scene.site.noted("poison").count("poison") == 3


def test_a_broker_that_is_killed_and_comes_back_empty_loses_no_case(scene: Scene) -> None:
    stream = scene.client.stream("nap", counted(*range(60)), max_concurrency=20)
    begun = until_results(stream, 10)
    scene.redis.kill()
    scene.redis.start()
    check_all_succeeded(read_all(stream, begun), 60)


@pytest.mark.parametrize("side", ["server", "worker"])
def test_a_connection_that_dies_without_a_sign_loses_no_case(scene: Scene, side: str) -> None:
    stream = scene.client.stream("nap", counted(*range(40)), max_concurrency=8)
    begun = until_results(stream, 10)
    proxy = scene.proxy_of_server if side == "server" else scene.proxy_of_worker
    assert proxy.silence() >= 2
    check_all_succeeded(read_all(stream, begun), 40)
    # Both workers take as many cases as before.
    stream = scene.client.stream("gated", counted(*scene.site.inputs(4)))
    wait_until(lambda: len(scene.site.noted_inputs("started")) == 4)
    scene.site.open()
    check_all_succeeded(read_all(stream), 4)


def test_orders_that_a_broker_delivers_twice_count_once(scene: Scene) -> None:
    stream = scene.client.stream("gated", counted(*scene.site.inputs(10)), max_concurrency=10)
    wait_until(lambda: len(scene.site.noted_inputs("started")) == 4)
    with Connection(scene.redis.url) as connection:
        client = connection.default_channel.client
        wait_until(lambda: client.llen(scene.site.queue) == 6)
        client.rpush(scene.site.queue, *client.lrange(scene.site.queue, 0, -1))
    scene.site.open()
    check_all_succeeded(read_all(stream), 10)


@pytest.mark.parametrize("name", ["gated", "async-patient"])
def test_the_cases_of_a_client_that_leaves_are_cancelled(scene: Scene, name: str) -> None:
    stream = scene.client.stream(name, counted(*scene.site.inputs(12)), max_concurrency=12)
    wait_until(lambda: len(scene.site.noted_inputs("started")) == 4)
    stream.close()
    check_cancelled(scene)


def test_the_cases_of_a_run_whose_time_is_up_are_cancelled(scene: Scene) -> None:
    events = scene.client.run(
        "gated-with-timeout", counted(*scene.site.inputs(12)), max_concurrency=12
    )
    assert [each.event for each in events[-2:]] == ["error", "done"]
    assert "1.5 seconds" in events[-2].json
    check_cancelled(scene)


def test_the_cases_of_a_server_that_is_killed_are_cancelled_after_the_lease(scene: Scene) -> None:
    stream = scene.client.stream("gated", counted(*scene.site.inputs(12)), max_concurrency=12)
    wait_until(lambda: len(scene.site.noted_inputs("started")) == 4)
    os.kill(resources(scene.server)["pid"], signal.SIGKILL)
    check_cancelled(scene)
    stream.close()


def check_cancelled(scene: Scene) -> None:
    """Check that the four cases that run are cancelled, and that those behind them never start."""
    started = {*scene.site.noted_inputs("started")}
    wait_until(lambda: {*scene.site.noted_inputs("cancelled")} == started)
    # Workers have looked at all that waited before they get to this.
    check_all_succeeded(scene.client.run("echo", counted(*range(4))), 4)
    assert {*scene.site.noted_inputs("started")} == started


def test_the_cases_of_a_worker_that_is_killed_run_on_another(scene: Scene) -> None:
    stream = scene.client.stream("nap", counted(*range(40)), max_concurrency=8)
    begun = until_results(stream, 10)
    scene.site.worker("two").kill()
    check_all_succeeded(read_all(stream, begun), 40)


def test_rabbitmq_delivers_the_cases_of_a_killed_worker_again_and_none_counts_twice(
    rabbitmq_broker: RabbitBroker, tmp_path: Path
) -> None:
    site = Site(tmp_path, rabbitmq_broker.url)
    try:
        site.worker("one", "-P", "threads", "-c", "2")
        killed = site.worker("two", "-P", "threads", "-c", "2")
        client = client_of(site.serve())
        site.begin()
        stream = client.stream("gated", counted(*site.inputs(10)), max_concurrency=10)
        wait_until(lambda: len(site.noted_inputs("started")) == 4)
        killed.kill()
        site.open()
        check_all_succeeded(read_all(stream), 10)
        # What was delivered again was not started again beside the new attempts.
        assert len(site.noted_inputs("started")) <= 12
    finally:
        site.close()


assert LEASE < 2  # or the tests above take long

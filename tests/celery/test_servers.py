"""Servers of each kind whose cases run on workers: what they hold, and what they hold up."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from kombu import Connection
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

from tests.server import Client, Gunicorn, Stream, cases, outputs

from .brokers import RedisBroker
from .site import (
    Site,
    check_counted_once,
    client_of,
    failures,
    read_all,
    resources,
    results,
    wait_until,
)
from .workers import CeleryWorker

pytestmark = [pytest.mark.slow, pytest.mark.redis]
RUNS = 25


@pytest.fixture(scope="module")
def shared_site(
    redis_broker: RedisBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), redis_broker.url)
    site.worker("one", "-P", "threads", "-c", "4")
    yield site
    site.close()


@pytest.fixture
def site(shared_site: Site) -> Site:
    shared_site.begin()
    return shared_site


@pytest.fixture(scope="module")
def shared_server(shared_site: Site) -> Gunicorn:
    return shared_site.serve()


@pytest.fixture
def server(shared_server: Gunicorn, site: Site) -> Gunicorn:
    return shared_server


@pytest.fixture
def client(server: Gunicorn) -> Client:
    return client_of(server)


@pytest.mark.parametrize(
    ("worker_class", "options", "is_finished"),
    [
        ("gevent", [], True),
        ("gevent", ["--preload"], False),
        ("gthread", ["--threads", "4"], True),
        ("sync", [], False),
    ],
    ids=["gevent", "gevent-preload", "gthread", "sync"],
)
def test_a_server_of_each_kind_streams_and_ends_on_sigterm(
    site: Site, worker_class: str, options: list[str], is_finished: bool
) -> None:
    grace = "20" if is_finished else "4"
    server = site.serve(worker_class, "--graceful-timeout", grace, *options)
    client = client_of(server)
    events = client.run("echo", cases(*range(30)))
    check_counted_once(events, 30)
    assert sorted(outputs(events)) == [*range(30)]

    stream = client.stream("gated", cases(1, 2, 3))
    waiting = [stream.next() for _ in range(3)]
    # Progress does not wait for the end of a task.
    assert {each.json["data"] for each in waiting} == {"waiting"}
    server.process.send_signal(signal.SIGTERM)
    if is_finished:
        assert stream.next_comment() == ": heartbeat"
        site.open()
        check_counted_once(read_all(stream, waiting), 3)
    else:
        events = read_all(stream)
        assert [each.event for each in events[-2:]] == ["error", "done"]
        assert events[-2].json.startswith("the server is being stopped or reloaded")
        assert len(failures(events)) == 3
        wait_until(lambda: len(site.noted("cancelled")) == 3)
    assert server.process.wait(20) == 0
    assert "SIGKILL" not in server.log


def test_a_large_run_begins_at_once_and_holds_up_nothing_else(
    client: Client, server: Gunicorn, site: Site
) -> None:
    began = time.monotonic()
    stream = client.stream("numbers", {"own": True})
    done = threading.Event()
    latencies: list[float] = []

    def probe() -> None:
        with requests.Session() as session:
            while not done.is_set():
                asked = time.monotonic()
                assert session.get(f"{server.url}/health", timeout=10).text == "well"
                latencies.append(time.monotonic() - asked)

    first = stream.next()
    assert first.at - began < 2
    with ThreadPoolExecutor(1) as pool:
        probing = pool.submit(probe)
        try:
            events = [first, *(stream.next() for _ in range(2000))]
        finally:
            done.set()
            stream.close()
        probing.result(20)
    assert len(results(events)) >= 1000
    assert len(latencies) > 5
    # Far less on an idle machine; greenlets that something holds up wait for seconds.
    assert sorted(latencies)[len(latencies) // 2] < 0.3


def test_a_client_that_stops_reading_stops_the_reading_of_the_data(
    client: Client, site: Site
) -> None:
    body = {"name": "large-numbers", "data": {"own": True}, "stream": True, "max_concurrency": 20}
    session = requests.Session()
    session.mount("http://", Narrow())
    answer = session.post(
        f"{client.url}/eval", json=body, headers=client.headers, stream=True, timeout=30
    )
    stream = Stream(answer)
    stream.next()

    def count() -> int:
        return len(site.noted("read")) * 10

    # What buffers of the system hold is some megabytes, each of which is 50 cases.
    read = _at_rest(count)
    assert read < 500
    received = results([stream.next() for _ in range(2 * read)])
    assert len(received) > 0.9 * read - 20
    wait_until(lambda: count() > read)
    stream.close()
    session.close()


class Narrow(HTTPAdapter):
    """Has the system receive little that is not read yet: usually it is megabytes more."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        given = [*HTTPConnection.default_socket_options, small]
        super().init_poolmanager(*args, **options, socket_options=given)


def _at_rest(count: Callable[[], int], seconds: float = 1.0) -> int:
    """Return a number once it has not changed for some time."""
    known, changed_at = count(), time.monotonic()
    while time.monotonic() - changed_at < seconds:
        time.sleep(0.02)
        if count() != known:
            known, changed_at = count(), time.monotonic()
    return known


def test_the_page_gets_the_spans_of_cases_on_a_worker(client: Client, server: Gunicorn) -> None:
    fields = {"case_results": True, "case_spans": True, "max_concurrency": 1}
    events = client.run("traced", cases("good", "bad"), **fields)
    good, bad = (each.json for each in events if each.event == "case_spans")
    found = {each["name"]: each for each in good["spans"]}
    assert found.keys() == {"eval", "task", "look up", "same"}
    assert found["look up"]["parent_id"] == found["task"]["id"]
    here = requests.get(f"{server.url}/resources", timeout=10).json()["pid"]
    assert found["look up"]["output"] not in (None, here), "it ran in another process"
    failed = {each["name"]: each for each in bad["spans"] if "error" in each}
    assert failed.keys() == {"eval", "task", "look up"}
    assert 'raise ValueError("no good")' in failed["look up"]["error_stack"]
    (result,) = [
        each.json for each in events if each.event == "case_result" and "error" in each.json
    ]
    assert result["error_place"].endswith('in traced: raise ValueError("no good")')
    assert result["error_stack"].endswith("ValueError: no good\n")


def test_runs_leave_nothing_behind(client: Client, server: Gunicorn, site: Site) -> None:
    worker = site.worker("one")

    def run(number: int) -> None:
        events = client.run("echo", cases(number, number + 1))
        check_counted_once(events, 2)

    def run_many() -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, range(RUNS)))

    def held() -> dict[str, int]:
        return {**resources(server), **_resources_of(worker)}

    run_many()
    with Connection(site.broker) as connection:
        redis: Any = connection.default_channel.client
        before, keys = held(), {*redis.scan_iter()}
        for _ in range(3):
            run_many()
        wait_until(lambda: {*redis.scan_iter()} <= keys)
    after = held()
    # Some more or less: connections to the server and its threads end a little later.
    assert {k: v for k, v in after.items() if v > before[k] + 5 and k != "pid"} == {}, before


def _resources_of(worker: CeleryWorker) -> dict[str, int]:
    process = f"/proc/{worker.process.pid}"
    return {
        "threads of the worker": len(os.listdir(f"{process}/task")),
        "files of the worker": len(os.listdir(f"{process}/fd")),
    }

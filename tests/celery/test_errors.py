"""What callers are told if no worker can run their cases, or one case cannot travel."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.server import Client, Gunicorn, cases, outputs

from .brokers import RedisBroker
from .processes import free_port
from .site import Site, check_counted_once, client_of, failures, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.redis]
LIMIT = 20_000
NOISE = random.Random(1).randbytes(LIMIT).hex()
"""A text that is as long when it is compressed."""


@pytest.fixture(scope="module")
def site(redis_broker: RedisBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), redis_broker.url)
    yield site
    site.close()


@pytest.fixture(scope="module")
def server(site: Site) -> Gunicorn:
    return site.serve(BRAINTRUST_EVALS_MAX_MESSAGE=str(LIMIT))


@pytest.fixture
def client(server: Gunicorn) -> Client:
    return client_of(server)


def start_worker(site: Site, **environ: str) -> Any:
    """Start the worker with the right code, or with variables of its own, if it does not run."""
    name = environ.get("TEST_VERSION", "right")
    environ["BRAINTRUST_EVALS_MAX_MESSAGE"] = str(LIMIT)
    return site.worker(name, "-P", "threads", "-c", "2", **environ)


def test_a_broker_that_cannot_be_reached_is_named_without_its_password(site: Site) -> None:
    port = free_port()
    server = site.serve(TEST_BROKER=f"redis://user:pa55word@127.0.0.1:{port}/0")
    answer = client_of(server).post({"name": "echo", "stream": True, "data": cases(1)})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert f"127.0.0.1:{port}" in answer.text
    assert "does not answer" in answer.text
    assert "pa55word" not in answer.text
    assert "pa55word" not in server.log
    # It does not hold up anything else.
    assert requests.get(f"{server.url}/health", timeout=5).text == "well"


def test_without_a_worker_the_command_that_starts_one_is_named(client: Client, site: Site) -> None:
    answer = client.post({"name": "echo", "stream": True, "data": cases(1)})
    assert answer.status_code == 503
    assert f"worker -Q {site.queue} --prefetch-multiplier 1" in answer.text


def test_a_worker_with_other_code_refuses_until_one_with_the_right_code_is_there(
    client: Client, site: Site
) -> None:
    other = start_worker(site, TEST_VERSION="other")
    stream = client.stream("versioned", cases(1, 2, 3))
    wait_until(lambda: "cases are refused" in other.log)
    start_worker(site)
    events = [*stream]
    check_counted_once(events, 3)
    assert failures(events) == []
    assert sorted(outputs(events)) == [1, 2, 3]


def test_refusals_fail_no_run_while_a_worker_with_the_right_code_is_busy(
    client: Client, server: Gunicorn, site: Site
) -> None:
    start_worker(site, TEST_VERSION="other").kill()
    site.begin()
    start_worker(site)
    gated = client.stream("gated", cases(*site.inputs(2)))
    wait_until(lambda: len(site.noted("started")) == 2)
    other = start_worker(site, TEST_VERSION="other")
    requests.post(f"{server.url}/refused-for/3", timeout=5)
    stream = client.stream("versioned", cases(1))
    wait_until(lambda: other.log.count("cases are refused") > 4)
    site.open()
    check_counted_once([*gated], 2)
    assert outputs([*stream]) == [1]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("echo", cases(1, NOISE, 2), "the case is too large to be sent"),
        ("large-output", cases(1, 2 * LIMIT, 2), "the output of the task is too large to be sent"),
        ("foreign", {"own": True}, "input['pair'] is (1, 2)"),
    ],
    ids=["order", "output", "foreign"],
)
def test_a_case_that_cannot_travel_fails_alone_and_says_why(
    client: Client, site: Site, name: str, data: Any, says: str
) -> None:
    start_worker(site)
    events = client.run(name, data)
    check_counted_once(events, 3)
    (failure,) = failures(events)
    assert says in failure


def test_a_run_that_only_workers_with_other_code_could_take_fails_and_says_what_differs(
    client: Client, server: Gunicorn, site: Site
) -> None:
    other = start_worker(site, TEST_VERSION="other")
    start_worker(site).kill()
    requests.post(f"{server.url}/refused-for/2", timeout=5)
    events = client.run("versioned", cases(1, 2, 3))
    assert [each.event for each in events[-2:]] == ["error", "done"]
    assert f"worker {other.name} has another version of evaluator 'versioned'" in events[-2].json
    assert "what differs: the code of its task" in events[-2].json
    # Other evaluators are the same there.
    check_counted_once(client.run("echo", cases(1, 2, 3)), 3)

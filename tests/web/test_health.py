"""``GET /`` of a process whose event loop is blocked, and of one that is being stopped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flask_braintrust_evals.concurrency import native_threads
from flask_braintrust_evals.concurrency.loops import loop_health
from flask_braintrust_evals.concurrency.loops.loop_health import LoopHealth
from flask_braintrust_evals.web.answers.stopping import GracePeriod
from tests.support import python

from .support import CASES, Api, make_app


@pytest.fixture
def api() -> Iterator[Api]:
    yield Api(make_app(), token=None)


def ask(api: Api, monkeypatch: pytest.MonkeyPatch, health: LoopHealth) -> tuple[int, Any]:
    monkeypatch.setattr(loop_health, "_ask", lambda: health)
    response = api.get("/")
    return response.status_code, response.get_json()


def test_a_process_that_can_run_coroutines_is_well(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(api, monkeypatch, LoopHealth()) == (200, {"status": "ok"})


def test_a_process_that_cannot_run_coroutines_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, body = ask(api, monkeypatch, LoopHealth(12.3))
    assert (status, list(body)) == (503, ["status", "error"])
    assert body["status"] == "blocked"
    assert body["error"].startswith("the event loop of this process has been blocked for 12 s")


def test_a_process_that_has_another_loop_is_well_and_counts_the_blocked_ones(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"status": "ok", "blocked_event_loops": 2}
    assert ask(api, monkeypatch, LoopHealth(0.0, 2)) == (200, body)


@pytest.mark.slow
def test_to_ask_makes_no_event_loop() -> None:
    script = """
    import sys
    from flask_braintrust_evals.concurrency.loops.loop_health import loop_health
    print(loop_health(), "asyncio" in sys.modules)
    """
    assert python(script, fresh=True) == "LoopHealth(blocked_for=0.0, given_up=0) False\n"


def test_a_server_without_the_celery_application_that_it_needs_is_not_ready() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_EXECUTOR="celery", SECRET_KEY="x")
    ready = Api(app, token=None).get("/ready")
    assert ready.status_code == 503
    assert ready.get_json()["reasons"] == ["the application has no Celery application"]


def test_a_server_without_threads_for_blocking_evaluators_is_not_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = SimpleNamespace(all_hang=True)
    monkeypatch.setattr(native_threads, "_blocking_threads", threads)
    assert "keep all of their threads" in api.get("/ready").get_json()["reasons"][0]
    threads.all_hang = False
    assert api.get("/ready").status_code == 200


class Listener:
    """A socket of gunicorn, which has the methods of a socket until it is closed."""

    def __init__(self) -> None:
        self.sock: socket.socket | None = socket.socket()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


def test_a_worker_that_no_longer_listens_begins_no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener()
    assert listener.sock is not None
    worker = SimpleNamespace(
        alive=True, sockets=[listener], cfg=SimpleNamespace(graceful_timeout=30)
    )
    grace = GracePeriod(5.0, worker)
    monkeypatch.setattr(GracePeriod, "of_request", lambda heartbeat: grace)
    api = Api(make_app(BRAINTRUST_EVALS_AUTH="none"), token=None)
    # The stop may have begun with this very request, which max_requests counts.
    for worker.alive in (True, False):
        assert api.outputs(name="echo", data=CASES) == ["a", "b"]
        assert api.get("/ready").status_code == 200
    listener.sock.close()
    assert api.refusal(503, name="echo", data=CASES).startswith("the server is being stopped")
    listener.sock = None
    response = api.eval(name="echo", data=CASES)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    ready = api.get("/ready")
    assert ready.status_code == 503
    assert ready.get_json()["reasons"] == ["the server is being stopped or reloaded"]

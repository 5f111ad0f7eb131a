"""``GET /`` of a process whose event loop is blocked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flask_braintrust_evals.concurrency import loop_health
from flask_braintrust_evals.concurrency.loop_health import LoopHealth
from tests.support import python

from .support import Api, make_app


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
    from flask_braintrust_evals.concurrency.loop_health import loop_health
    print(loop_health(), "asyncio" in sys.modules)
    """
    assert python(script) == "LoopHealth(blocked_for=0.0, given_up=0) False\n"

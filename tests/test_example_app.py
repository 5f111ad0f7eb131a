"""The example: its own pages, and each of its evaluators as its docstring says."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from example_app import create_app
from example_app.evaluators import evals_bp

ROOT = Path(__file__).parent.parent


@pytest.fixture
def client() -> FlaskClient:
    return create_app({"BRAINTRUST_EVALS_AUTH": "none"}).test_client()


def test_the_tool_has_a_page_and_an_api_of_its_own(client: FlaskClient) -> None:
    assert "charged twice for one payment<td>billing" in client.get("/").text
    answer = client.post("/api/triage", json={"text": "lost parcel"})
    assert answer.json == {"team": "shipping"}


def test_all_three_evaluators_are_listed(client: FlaskClient) -> None:
    manifest = client.get("/evals/list").json
    assert manifest is not None
    assert list(manifest) == ["ticket-triage", "reply-draft", "order-lookup"]


def test_triage_uses_its_parameter() -> None:
    evaluator = evals_bp.registry.get("ticket-triage")
    result = evaluator.run(
        [{"input": "Do you sell gift cards?", "expected": "account"}], {"default_team": "account"}
    )
    assert result.scores["exact_match"].mean == 1


def test_replies_are_polite_and_classified() -> None:
    result = evals_bp.registry.get("reply-draft").run([{"input": "Where is my refund?"}])
    assert result.scores["polite"].mean == 1
    assert result.results[0].classifications == {"length": [{"id": "short"}]}


def test_order_lookup_fails_on_unknown_orders_alone() -> None:
    result = evals_bp.registry.get("order-lookup").run(
        [{"input": "Order A-1001", "expected": "shipped"}, {"input": "Order Z-9999"}]
    )
    (failure,) = result.failures
    assert str(failure.error) == "UnknownOrderError: there is no order Z-9999"
    assert result.scores["right_status"].mean == 1


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "example_app.demo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.live
def test_the_demo_runs_once_and_ends_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    done = demo("--once", "--port", str(port))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exact_match: 0.80" in done.stdout


@pytest.mark.live
def test_the_demo_says_when_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = demo("--once", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} is taken." in done.stdout

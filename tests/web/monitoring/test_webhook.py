"""The webhook that is called when a run has ended."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from flask import Flask

from flask_braintrust_evals import EvalsBlueprint
from flask_braintrust_evals.cloud.http.connections import CheckedAdapter
from flask_braintrust_evals.config.settings import Settings, WebhookSettings
from flask_braintrust_evals.errors import ConfigurationError
from flask_braintrust_evals.extension.state import EXTENSION_KEY
from flask_braintrust_evals.web.monitoring.run_record import RunRecord
from flask_braintrust_evals.web.monitoring.webhook import Webhook
from tests.support import in_time

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


class Service:
    """A web service that answers with given statuses, and then with 204."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.has_some = threading.Condition()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with service.has_some:
                    service.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
                    status = service.statuses.pop(0) if service.statuses else 204
                    service.has_some.notify_all()
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def wait_for(self, count: int) -> None:
        with self.has_some:
            assert self.has_some.wait_for(lambda: len(self.received) >= count, 10)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def app_with(**config: Any) -> Flask:
    bp = EvalsBlueprint()

    @bp.evaluator(scores=[lambda output: 0.5])
    def echo(input: Any) -> Any:
        if input == "bad":
            raise ValueError("no")
        return input

    app = Flask(__name__)
    app.config.update(BRAINTRUST_EVALS_AUTH="none", **config)
    app.register_blueprint(bp, url_prefix="/evals")
    return app


def run(app: Flask, *inputs: Any) -> None:
    data = {"data": [{"input": each} for each in inputs]}
    answer = app.test_client().post(
        "/evals/eval", json={"name": "echo", "data": data, "stream": False}
    )
    assert answer.status_code == 200, answer.text


def test_a_run_that_has_ended_is_told_with_a_signature(service: Service) -> None:
    app = app_with(BRAINTRUST_EVALS_WEBHOOK=service.url, BRAINTRUST_EVALS_WEBHOOK_SECRET=SECRET)
    run(app, "good", "bad")
    in_time(lambda: service.wait_for(1))

    headers, body = service.received[0]
    event = json.loads(body)
    assert event["type"] == "run.ended"
    told = event["data"]
    assert (told["evaluator"], told["outcome"], told["cases"]) == ("echo", "finished", 2)
    assert (told["failedCases"], told["scores"]) == (1, {"scorer_0": 0.5})
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"k" * 24, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 429, 302])
def test_a_refused_request_is_sent_again_with_the_same_id(service: Service, status: int) -> None:
    service.statuses = [status, status]
    app = app_with(BRAINTRUST_EVALS_WEBHOOK=service.url, BRAINTRUST_EVALS_WEBHOOK_SECRET=SECRET)
    settings = app.extensions[EXTENSION_KEY].settings.webhook
    app.extensions[EXTENSION_KEY].runtime.observer = Webhook(settings, pauses=(0.01, 0.01))
    run(app, "good")
    in_time(lambda: service.wait_for(3))
    assert len({headers["webhook-id"] for headers, _ in service.received}) == 1


def test_a_service_with_tls_is_called_by_connections_that_share_certificates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: queue.Queue[str | None] = queue.Queue()

    def send(self: CheckedAdapter, request: requests.PreparedRequest, **_: Any) -> Any:
        sent.put(request.url)
        answer = requests.Response()
        answer.status_code = 204
        return answer

    monkeypatch.setattr(CheckedAdapter, "send", send)
    settings = WebhookSettings("https://hooks.example.com/evals", b"k" * 24)
    Webhook(settings).run_ended(RunRecord("echo", "acme"))
    assert sent.get(timeout=10) == settings.url


def test_a_service_that_is_down_is_given_up_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_with(
        BRAINTRUST_EVALS_WEBHOOK="http://127.0.0.1:1/", BRAINTRUST_EVALS_WEBHOOK_SECRET=SECRET
    )
    settings = app.extensions[EXTENSION_KEY].settings.webhook
    hook = Webhook(settings, pauses=(0.01,))
    app.extensions[EXTENSION_KEY].runtime.observer = hook
    run(app, "good")

    def told() -> None:
        while "not told to the webhook" not in caplog.text:
            threading.Event().wait(0.01)

    in_time(told)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("secret", [None, "short", "whsec_" + "!" * 20])
def test_the_secret_must_be_there_and_is_not_shown(secret: str | None) -> None:
    config = {"BRAINTRUST_EVALS_WEBHOOK": "https://example.com/hook"}
    if secret is not None:
        config["BRAINTRUST_EVALS_WEBHOOK_SECRET"] = secret
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(config, {})
    assert "BRAINTRUST_EVALS_WEBHOOK_SECRET" in str(caught.value)
    assert secret is None or secret not in str(caught.value)


def test_readiness_says_why_a_process_serves_no_runs() -> None:
    app = app_with(BRAINTRUST_EVALS_MAX_RUNS=1)
    client = app.test_client()
    assert client.get("/evals/ready").get_json() == {"status": "ready"}
    slots = app.extensions[EXTENSION_KEY].runtime.run_slots
    from flask_braintrust_evals.web.access.run_slots import Owner

    release = slots.runs.take(Owner())
    answer = client.get("/evals/ready")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "not ready")
    release()
    assert client.get("/evals/ready").status_code == 200

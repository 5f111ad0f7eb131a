"""Reports each run that has ended to a web service of the application's owner.

Requests are signed as Standard Webhooks describe
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import time
import uuid
from collections import deque
from datetime import datetime, timezone
from typing import Any

import requests

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.connections import CheckedAdapter
from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.config.settings import WebhookSettings
from flask_braintrust_evals.runs.probe import PROBE
from flask_braintrust_evals.serialization.json_writing import dumps

from .run_observer import RunObserver
from .run_record import RunRecord

logger = logging.getLogger("flask_braintrust_evals")

MAX_WAITING = 1000
"""Runs that may wait to be reported. If the service is down for long, the oldest are dropped."""
TIMEOUT = 10.0
"""Seconds that an attempt may take."""
PAUSES = (1.0, 5.0, 30.0, 120.0)
"""Seconds after a failed attempt before the next one; after the last one, the run is dropped."""


class Webhook(RunObserver):
    """Sends a request for each run that has ended, one after another, on a thread of its own.

    Args:
        settings: where to, and the secret that signs.
        pauses: see :data:`PAUSES`.
    """

    def __init__(self, settings: WebhookSettings, pauses: tuple[float, ...] = PAUSES) -> None:
        self._settings = settings
        self._pauses = pauses
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MAX_WAITING)
        self._has_thread = False

    def run_ended(self, record: RunRecord) -> None:
        if record.evaluator == PROBE.name:
            return
        self._waiting.append(_event(record))
        if not self._has_thread:
            self._has_thread = True
            try:
                start_thread(self._send_all, "braintrust-evals-webhook")
            except RuntimeError as error:
                self._has_thread = False
                logger.warning("a webhook is not called: %s", error)

    def _send_all(self) -> None:
        while True:
            try:
                event = self._waiting.popleft()
            except IndexError:
                self._has_thread = False
                if not self._waiting:
                    return
                self._has_thread = True  # one was added in between
                continue
            try:
                self._send(event)
            except Exception:
                logger.exception("a webhook failed")

    def _send(self, event: dict[str, Any]) -> None:
        id, body = f"msg_{uuid.uuid4().hex}", dumps(event).encode()
        for pause in (*self._pauses, None):
            problem = self._attempt(id, body)
            if problem is None:
                return
            if pause is None:
                logger.warning("a run is not told to the webhook: %s", problem)
            else:
                time.sleep(pause)

    def _attempt(self, id: str, body: bytes) -> str | None:
        """Send a request; return what went wrong, or ``None``."""
        at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"flask-braintrust-evals/{__version__}",
            "webhook-id": id,
            "webhook-timestamp": at,
            "webhook-signature": self._signature(id, at, body),
        }
        url = self._settings.url
        try:
            with requests.Session() as http:
                # Its connections share the certificates that they trust: reading these takes long.
                http.mount("https://", CheckedAdapter(AddressRules.of([url])))
                answer = http.post(
                    url, body, headers=headers, timeout=TIMEOUT, allow_redirects=False
                )
        except requests.RequestException as error:
            return type(error).__name__
        return None if answer.ok and not answer.is_redirect else f"status {answer.status_code}"

    def _signature(self, id: str, at: str, body: bytes) -> str:
        signed = f"{id}.{at}.".encode() + body
        digest = hmac.new(self._settings.key, signed, hashlib.sha256).digest()
        return f"v1,{base64.b64encode(digest).decode()}"


def _event(record: RunRecord) -> dict[str, Any]:
    summary = record.summary
    return {
        "type": "run.ended",
        "timestamp": datetime.now(timezone.utc).isoformat(),
        "data": {
            **record.description,
            "evaluator": record.evaluator,
            "organization": record.org,
            "outcome": record.outcome,
            "reason": record.reason,
            "duration": record.duration,
            "cases": summary.cases,
            "failedCases": summary.failed,
            "interruptedCases": summary.interrupted,
            "scores": {name: score.mean for name, score in summary.scores.items()},
            "metrics": {name: metric.mean for name, metric in summary.metrics.items()},
            "scorerErrors": dict(summary.scorer_errors),
            "lostSpans": record.lost_spans,
        },
    }

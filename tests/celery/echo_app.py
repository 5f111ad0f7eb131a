"""A Celery application whose workers report what they are told, for ``celery worker -A``.

The text of an order is JSON: what to do, and the queue of the owner to report to.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any
from uuid import uuid4

from celery import Celery

from flask_braintrust_evals.contrib.celery import task
from flask_braintrust_evals.contrib.celery.hosting import is_ending, provide_worker
from flask_braintrust_evals.contrib.celery.transport import CeleryTransport
from flask_braintrust_evals.distribution.messaging.messages import Message

QUEUE = os.environ["TEST_QUEUE"]

app = Celery("echo", broker=os.environ["TEST_BROKER"])
app.conf.update(json.loads(os.environ.get("TEST_SETTINGS", "{}")))
run_case = task.run_case


class Echo:
    """Reports each call that it gets to the owner, and does what the order says."""

    def __init__(self) -> None:
        self.started: list[Any] | None = None
        self.transport = CeleryTransport(app, QUEUE)

    def start(self, name: str, process: str, pool: str, slots: int) -> None:
        self.started = [name, process, pool, slots]

    def stop(self) -> None:
        self.started = None

    def perform(self, message: Message, redelivered: bool, returns: int) -> None:
        order = json.loads(message.text[1:])
        self._report(order, ["performs", order["do"], redelivered, os.getpid(), self.started])
        if order["do"] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif order["do"] == "exit":
            raise SystemExit(3)
        elif order["do"] == "fail":
            raise ValueError(order["case"])
        elif order["do"] == "count":
            self._report(order, ["was given back", returns])
        elif order["do"] == "wait":
            self._wait(order)
        self._report(order, ["done", order["do"]])

    def _wait(self, order: Any) -> None:
        try:
            time.sleep(30)
        except SystemExit:
            self._report(order, ["ends", is_ending()])
            raise

    def lost(self, message: Message, reason: str) -> None:
        order = json.loads(message.text[1:])
        self._report(order, ["lost", order["do"], reason])

    def _report(self, order: Any, content: list[Any]) -> None:
        sender = self.transport.connect(10)
        sender.send_report(order["owner"], Message(json.dumps(content), uuid4().hex))
        sender.close()


echo = Echo()


class Host:
    """Has the workers of this Celery application call ``echo``."""

    queue = QUEUE
    celery_app = app
    application = None

    def case_worker(self) -> Echo:
        return echo


host = Host()
provide_worker(host)

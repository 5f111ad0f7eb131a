"""What tests of the transport and of the task have in common."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from celery import Celery

from flask_braintrust_evals.contrib.celery.sending import CelerySender
from flask_braintrust_evals.contrib.celery.transport import CeleryTransport
from flask_braintrust_evals.distribution.messaging.messages import Message

SOON = 10.0
"""Seconds that anything may take on a machine that is busy."""


def new_app(url: str, **settings: Any) -> Celery:
    options = {"polling_interval": 0.01} if url.startswith("memory:") else {}
    return Celery("tests", broker=url, broker_transport_options=options, **settings)


def new_queue() -> str:
    return f"evals-{uuid4().hex}"


def message(text: str) -> Message:
    return Message(f"j{json.dumps(text)}", uuid4().hex * 2)


class Listening:
    """A thread that listens, and what it has received."""

    def __init__(self, listen: Callable[..., None], *args: Any) -> None:
        self.received: list[Message] = []
        self.failure: Exception | None = None
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._changed = threading.Condition()

        def work() -> None:
            try:
                listen(*args, self._receive, self._ready.set, self._stopped.is_set)
            except Exception as error:
                self.failure = error

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(SOON), self.failure

    def wait_for(self, count: int) -> list[Message]:
        """Wait until so many messages were received, and return all."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, SOON), self.received
        return self.received

    def stop(self) -> None:
        self._stopped.set()
        self.thread.join(SOON)
        assert not self.thread.is_alive()

    def _receive(self, received: Message) -> None:
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()


@contextmanager
def listening(listen: Callable[..., None], *args: Any) -> Iterator[Listening]:
    """Listen in a thread inside of the block."""
    found = Listening(listen, *args)
    found.wait_until_ready()
    try:
        yield found
    finally:
        found.stop()


@contextmanager
def connected(transport: CeleryTransport) -> Iterator[CelerySender]:
    """Connect a sender, inside of the block."""
    sender = transport.connect(SOON)
    try:
        yield sender
    finally:
        sender.close()

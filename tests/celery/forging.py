"""Messages of somebody who reaches the broker, and does not know the secret."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Exchange, Producer


class Touch:
    """An object that makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


class Forger:
    """Somebody who reaches the broker, and does not know the secret.

    Args:
        url: the address of the broker.
        queue: the queue of orders.
    """

    def __init__(self, url: str, queue: str) -> None:
        self._queue = queue
        self._app = Celery("forger", broker=url)

    def order(self, message: Any) -> None:
        args = message if isinstance(message, list) else [message]
        # Celery logs these headers at level DEBUG, whoever has written them.
        shown = {"argsrepr": "-", "kwargsrepr": "-"}
        self._app.send_task("braintrust_evals.case", args, queue=self._queue, **shown)

    def report(self, reply_to: str, message: Any) -> None:
        self._publish(message, routing_key=reply_to)

    def notice(self, message: Any) -> None:
        exchange = Exchange(f"{self._queue}.notices", type="fanout")
        self._publish(message, exchange=exchange, declare=[exchange])

    def pickle(self, queue: str, path: Path) -> None:
        """Send an object by pickle."""
        headers = {"task": "braintrust_evals.case", "id": "forged", "lang": "py"}
        body = pickle.dumps([[Touch(path), ""], {}, {}])
        self._publish(
            body,
            routing_key=queue,
            headers=headers,
            content_type="application/x-python-serialize",
            content_encoding="binary",
        )

    def _publish(self, body: Any, **options: Any) -> None:
        with self._app.connection_for_write() as connection:
            Producer(connection).publish(body, **options)

"""The broker of a Celery application as what carries messages between owners and workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu import Producer, Queue

from flask_braintrust_evals.distribution.messaging.transport import Receive, Stopped
from flask_braintrust_evals.errors import ConfigurationError
from flask_braintrust_evals.tracing.untraced import untraced

from .connections import ConnectionFailedError, Connections, close, failures
from .listening import Inbox, listen
from .sending import CelerySender, notices_exchange, reply_queue


class CeleryTransport:
    """A :class:`~flask_braintrust_evals.distribution.messaging.transport.Transport` over Kombu.

    Its methods raise :class:`ConnectionFailedError` if the broker cannot be reached, the connection
    is lost, or the broker refuses the queues.

    Args:
        app: the Celery application.
        queue: the name of the queue of orders.

    Raises:
        ConfigurationError: the application's settings do not allow the queue or its messages.
    """

    errors: tuple[type[Exception], ...] = (ConnectionFailedError,)

    def __init__(self, app: Celery, queue: str) -> None:
        self._app = app
        _check_content(app)
        self._connections = Connections(app)
        self._orders = _queue_of_orders(app, queue)
        self._unacknowledged: dict[str, set[str]] = {}
        self.queue = queue
        self.address = self._connections.address
        self.advice = f"celery -A <your module> worker -Q {queue} --prefetch-multiplier 1"

    def connect(self, timeout: float) -> CelerySender:
        """Return a new connection, made within ``timeout`` seconds for each address.

        Each of its methods fails if the broker does not answer for as long.
        """
        with untraced():
            connection = self._connections.open(timeout)
            try:
                return CelerySender(connection, self._app, self._orders)
            except BaseException:
                close(connection)
                raise

    def listen_for_reports(
        self, reply_to: str, receive: Receive, ready: Callable[[], None], stopped: Stopped
    ) -> None:
        """Make the queue of an owner, to which one thread at a time listens, and receive."""
        # Kept over a loss of the connection.
        unacknowledged = self._unacknowledged.setdefault(reply_to, set())
        inbox = Inbox(receive, unacknowledged)
        listen(self._connections, reply_queue(reply_to), inbox, ready, stopped)
        del self._unacknowledged[reply_to]

    def listen_for_notices(
        self, receive: Receive, ready: Callable[[], None], stopped: Stopped
    ) -> None:
        """Receive all notices that are sent from now on, on a connection of its own."""
        exchange = notices_exchange(self.queue)
        # With Redis, which publishes without queues, the name would only be a member of a set, and
        # stay there if this process is killed.
        is_shared = self._connections.driver == "redis"
        name = exchange.name if is_shared else f"{exchange.name}.{uuid4().hex}"
        queue = Queue(name, exchange, exclusive=True, auto_delete=True, durable=False)
        listen(self._connections, queue, Inbox(receive), ready, stopped)

    def has_workers(self, timeout: float) -> bool:
        """Return whether any worker takes orders, by asking for ``timeout`` seconds.

        Workers answer while they run cases, with two exceptions: a worker with the pool ``solo``,
        and one whose remote control is switched off.
        """

        def note(reply: dict[str, Any]) -> None:
            for queues in reply.values():
                if isinstance(queues, list) and any(
                    q.get("name") == self._orders.name for q in queues
                ):
                    raise _Found

        with untraced():
            connection = self._connections.open(timeout)
            try:
                with failures(connection):
                    mailbox = self._app.control.mailbox(connection)
                    # Instead of the application's connections, which other threads use, and
                    # without attempts that are repeated for ever.
                    mailbox._producer_pool = _OneProducer(connection)
                    mailbox.multi_call("active_queues", timeout=timeout, callback=note)
            except _Found:
                return True
            finally:
                close(connection)
        return False


def runs_in_place(app: Celery) -> bool:
    """Return whether an application's tasks run where they are ordered, as in many tests."""
    return bool(app.conf.task_always_eager)


def _check_content(app: Celery) -> None:
    accepted = [str(name) for name in app.conf.accept_content]
    if not {"json", "application/json"} & {*accepted}:
        raise ConfigurationError(
            f"the Celery application accepts only {accepted} (accept_content), and its workers"
            " would drop orders, which are JSON: add 'json'"
        )


def _queue_of_orders(app: Celery, name: str) -> Queue:
    try:
        return app.amqp.queues[name]
    except KeyError:
        raise ConfigurationError(
            f"the Celery application has no queue {name!r} (BRAINTRUST_EVALS_QUEUE), and makes none"
            " because of task_create_missing_queues=False: add it to task_queues"
        ) from None


class _Found(BaseException):
    """There is a worker: no need to wait for others. No exception that Kombu might handle."""


class _OneProducer:
    """A pool of one producer, for a mailbox of Kombu, that publishes at once or not at all."""

    def __init__(self, connection: Any) -> None:
        self._producer = Producer(connection, auto_declare=False)

    @contextmanager
    def acquire(self) -> Iterator[_OneProducer]:
        """Lend the producer."""
        yield self

    def publish(self, *args: Any, **options: Any) -> Any:
        """Publish a message; see :meth:`kombu.Producer.publish`."""
        return self._producer.publish(*args, **{**options, "retry": False})

"""Receives reports and notices, each on a connection of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import orjson
from kombu import Connection, Consumer, Queue
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from flask_braintrust_evals.distribution.messaging.messages import Message
from flask_braintrust_evals.distribution.messaging.transport import Receive, Stopped
from flask_braintrust_evals.tracing.untraced import untraced

from .connections import Connections, check, close, failures

logger = logging.getLogger("flask_braintrust_evals")

ANSWER_SECONDS = 5.0
"""Seconds within which a connection is made, and the broker answers."""
POLL_SECONDS = 0.5
"""Seconds to wait for a message at a stretch."""
TEST_SECONDS = 1.0
"""Seconds between two tests of the connection."""
PREFETCH = 500
"""Messages that an AMQP broker sends before the first of them is acknowledged."""
ACKNOWLEDGE_EVERY = 32
"""Messages that are acknowledged together: for each alone it takes half as long as receiving it."""
MAX_TOGETHER = 20
"""Messages that wait in Redis and are asked for in one round trip."""
LARGE_TOGETHER = 1_000_000
"""Bytes of such messages from which on the next one is asked for alone: all are in memory."""


class Inbox:
    """Takes the messages of one queue.

    An AMQP broker keeps what was not acknowledged when a connection is lost, and delivers it again.
    Redis has no such thing: what was on its way is lost. (Kombu's emulation would deliver it again
    after an hour, and takes four commands for each message.)

    Args:
        receive: called with each message, once.
        unacknowledged: the signatures of messages that were received over a connection that was
            lost, and not acknowledged; kept up to date.
    """

    def __init__(self, receive: Receive, unacknowledged: set[str] | None = None) -> None:
        self._receive = receive
        self._unacknowledged = set() if unacknowledged is None else unacknowledged
        self._last: Any = None

    def take(self, received: Any) -> None:
        """Hand on a message as Kombu delivers it."""
        message = _message_of(received)
        if message is not None:
            self._receive(message)

    def take_and_note(self, received: Any) -> None:
        """Hand on a message unless it was handed on before; acknowledge it now or later."""
        self._last = received
        message = _message_of(received)
        if message is not None:
            known = message.signature in self._unacknowledged
            if not (known and received.delivery_info.get("redelivered")):
                self._unacknowledged.add(message.signature)
                self._receive(message)
        if len(self._unacknowledged) >= ACKNOWLEDGE_EVERY:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge everything that was noted."""
        if self._last is not None:
            self._last.ack(multiple=True)
        self._last = None
        self._unacknowledged.clear()


def listen(
    connections: Connections,
    queue: Queue,
    inbox: Inbox,
    ready: Callable[[], None],
    stopped: Stopped,
) -> None:
    """Receive what comes into a queue, until ``stopped`` returns true.

    Raises:
        ConnectionFailedError: the broker cannot be reached, or the connection is lost.
    """
    with untraced():
        connection = connections.open(ANSWER_SECONDS, to_listen=True)
        try:
            with failures(connection):
                consumer = _consume(connection, queue, inbox)
                ready()
                _drain(connection, queue, inbox, stopped)
                consumer.cancel()
                inbox.acknowledge()
        finally:
            close(connection)


def _consume(connection: Connection, queue: Queue, inbox: Inbox) -> Consumer:
    driver = connection.transport.driver_type
    # What an exclusive queue holds is gone with the connection.
    to_acknowledge = driver == "amqp" and not queue.exclusive
    consumer = Consumer(
        connection.default_channel,
        [queue],
        no_ack=not to_acknowledge,
        on_message=inbox.take_and_note if to_acknowledge else inbox.take,
    )
    if to_acknowledge:
        consumer.qos(prefetch_count=PREFETCH)
    consumer.consume()
    if driver == "redis" and queue.exchange.type == "fanout":
        # Kombu subscribes when it first waits: the answer to that is the first event.
        connection.drain_events(timeout=ANSWER_SECONDS)
    return consumer


def _drain(connection: Connection, queue: Queue, inbox: Inbox, stopped: Stopped) -> None:
    is_list = connection.transport.driver_type == "redis" and queue.exchange.type != "fanout"
    others = 0
    tested = time.monotonic()
    while not stopped():
        try:
            connection.drain_events(timeout=POLL_SECONDS)
            if is_list:
                limit = min(2 * others + 1, MAX_TOGETHER)
                others = _take_waiting(connection.default_channel, queue.name, limit, inbox)
        except TimeoutError:
            inbox.acknowledge()
        if time.monotonic() - tested >= TEST_SECONDS:
            tested = time.monotonic()
            check(connection)


def _take_waiting(channel: Any, name: str, limit: int, inbox: Inbox) -> int:
    """Take messages that wait in a list of Redis. Kombu takes one at a time.

    Return how many there were; 0 if they were large.

    Between two calls of ``drain_events``, of which the first has received a message, Kombu waits
    for no other one, so that all arrive in their order.
    """
    # Not over the connections of channel.client, one of which is where Kombu waits for messages.
    with channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipeline:
        for _ in range(limit):  # Redis before 6.2 has no command for several
            pipeline.rpop(name)
        found = [each for each in pipeline.execute() if each is not None]
    taken = len(found) if sum(map(len, found)) < LARGE_TOGETHER else 0
    found.reverse()
    while found:  # each is dropped before the next one is decoded
        inbox.take(channel.message_to_python(loads(bytes_to_str(found.pop()))))
    return taken


def _message_of(received: Any) -> Message | None:
    """Return a message as it was sent; ``None`` if it is none of ours, which is logged."""
    # Decoded here, not by Kombu, whose formats beside JSON can run code.
    try:
        if received.content_type != "application/json":
            raise ValueError("it is no JSON")
        text, signature = orjson.loads(received.body)
        if not (isinstance(text, str) and isinstance(signature, str)):
            raise ValueError("it has no text and signature")
        return Message(text, signature)
    except (ValueError, TypeError) as error:
        logger.warning("a message from the broker cannot be read: %s", type(error).__name__)
        return None

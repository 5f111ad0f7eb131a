"""Sends orders, reports and notices over one connection to the broker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import orjson
from amqp.exceptions import PreconditionFailed
from celery import Celery
from kombu import Connection, Exchange, Queue

from flask_braintrust_evals.concurrency.gevent_patch import new_event
from flask_braintrust_evals.distribution.messaging.messages import Message, MessageTooLargeError
from flask_braintrust_evals.tracing.untraced import untraced

from .connections import close, failures

TASK = "braintrust_evals.case"
"""The name of the Celery task that runs cases."""
ARGUMENTS_SHOWN = "(...)"
"""What Celery shows in place of an order's arguments, which hold cases. If it were empty, Celery
would show the arguments."""
BLANKS = b" " * 1024
"""The beginning of the body of an order, which means nothing in JSON. Workers that do not know the
task, or cannot read a message, log as many characters of it."""
ORDER_SECONDS = 24 * 3600
"""Seconds after which an order that no worker has taken is dropped."""
RETURNS = "braintrust_evals_returns"
"""The header of an order with how often workers have given it back, if they have."""
REPLY_QUEUE_SECONDS = 300
"""Seconds without use after which the broker removes the queue of an owner."""
MAX_DECLARED = 1000
"""Queues of owners that a connection remembers to have declared."""
LARGE_BYTES = 100_000
"""Bytes from which on Redis may refuse a message that it has no memory for, and take others."""
REFUSED_PAUSES = (0.3, 0.6)
"""Seconds before such a message is sent again: what others have sent may be taken out meanwhile."""
TRANSIENT = 1
"""The delivery mode of messages that the broker need not write to its disk."""


def reply_queue(name: str) -> Queue:
    """Return the queue of an owner.

    It is durable, though its messages are not: RabbitMQ no longer has queues that are neither
    durable nor exclusive.
    """
    return Queue(
        name,
        Exchange(""),
        routing_key=name,
        durable=True,
        auto_delete=False,
        expires=REPLY_QUEUE_SECONDS,
    )


def notices_exchange(queue: str) -> Exchange:
    """Return the exchange that gives each notice to all workers that listen."""
    return Exchange(f"{queue}.notices", type="fanout", durable=True, delivery_mode=TRANSIENT)


def message_body(message: Message) -> bytes:
    """Return a report or notice as it travels."""
    return orjson.dumps([message.text, message.signature])


class CelerySender:
    """A :class:`~flask_braintrust_evals.distribution.messaging.transport.Sender` over Kombu.

    Its methods raise :class:`ConnectionFailedError` if the broker does not have the message, and
    :class:`MessageTooLargeError` if it refuses messages of that size.

    Args:
        connection: an established one, which belongs to this object.
        app: the Celery application.
        orders: the queue of orders, as the application's workers declare it.
    """

    def __init__(self, connection: Connection, app: Celery, orders: Queue) -> None:
        self._connection = connection
        self._orders = orders.name
        self._declared: set[str] = set()
        self._headers, self._embedded = _template(app)
        with untraced(), failures(connection):
            self._channel = connection.default_channel
            _reuse_client(self._channel)
            notices = notices_exchange(orders.name)(self._channel)
            self._notices = notices.name
            # Declared as `celery worker -Q` declares it, so that whoever is first is right.
            orders(self._channel).declare()
            notices.declare()

    def send_order(self, order: Message, returns: int = 0) -> None:
        """Put an order into the queue of orders, as a message for the Celery task."""
        task_id = str(uuid4())
        expires = datetime.now(timezone.utc) + timedelta(seconds=ORDER_SECONDS)
        self._publish(
            BLANKS + b"[%s,{},%s]" % (message_body(order), self._embedded),
            routing_key=self._orders,
            headers={
                **self._headers,
                "id": task_id,
                "root_id": task_id,
                "expires": expires.isoformat(),
                **({RETURNS: returns} if returns else {}),
            },
            properties={"correlation_id": task_id, "expiration": str(ORDER_SECONDS * 1000)},
            # Without the queue, which somebody has deleted, an order would be lost in silence.
            mandatory=True,
        )

    def send_notice(self, notice: Message) -> None:
        """Send a notice to all workers that listen."""
        self._publish(message_body(notice), exchange=self._notices)

    def send_report(self, reply_to: str, report: Message) -> None:
        """Put a report into the queue of an owner. That it no longer exists is not an error."""
        if reply_to not in self._declared:
            self._declare_reply_queue(reply_to)
        self._publish(message_body(report), routing_key=reply_to)

    def close(self) -> None:
        """Close the connection. Does not raise."""
        with untraced():
            close(self._connection)

    def _declare_reply_queue(self, name: str) -> None:
        # With Redis, a list expires only if whoever writes to it has declared it.
        with untraced(), failures(self._connection):
            reply_queue(name)(self._channel).declare()
        if len(self._declared) >= MAX_DECLARED:
            self._declared.clear()
        self._declared.add(name)

    def _publish(
        self,
        body: bytes,
        *,
        routing_key: str = "",
        exchange: str = "",
        headers: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
        mandatory: bool = False,
    ) -> None:
        # What Kombu's Producer does beside this takes as long again.
        with untraced(), failures(self._connection):
            message = self._channel.prepare_message(
                body,
                content_type="application/json",
                content_encoding="utf-8",
                headers=headers,
                properties={"delivery_mode": TRANSIENT, **(properties or {})},
            )

            def publish() -> None:
                self._channel.basic_publish(
                    message, exchange=exchange, routing_key=routing_key, mandatory=mandatory
                )

            refusal = self._refusal(publish, len(body))
        if refusal is not None:
            raise MessageTooLargeError(
                f"the broker refuses a message of {len(body):,} bytes: {refusal}"
            )

    def _refusal(self, publish: Callable[[], None], size: int) -> str | None:
        """Publish a message; return why the broker refuses one of its size, if it does.

        Raises:
            Exception: the broker does not have it for another reason.
        """
        is_redis = self._connection.transport.driver_type == "redis"
        for pause in (*REFUSED_PAUSES, None):
            try:
                publish()
                return None
            except self._connection.channel_errors as error:
                if isinstance(error, PreconditionFailed) and "message size" in str(error):
                    return str(error)
                if not is_redis or size < LARGE_BYTES:
                    raise
                refusal = str(error)
            # For as long as the connection is open, Redis has the message in memory.
            self._channel._create_client().connection_pool.disconnect()
            if pause is not None:
                new_event().wait(pause)
        # It raises likewise if Redis takes nothing at all.
        self._channel._create_client().set(f"{self._orders}.probe", b"", px=1000)
        return refusal


def returns_of(request: Any) -> int:
    """Return how often workers have given an order back, by the request of its task."""
    returns = request.get(RETURNS, 0)
    return max(0, returns) if isinstance(returns, int) else 0


def _template(app: Celery) -> tuple[dict[str, Any], bytes]:
    """Return the headers of all orders, and the last part of their bodies, as JSON."""
    message = app.amqp.as_task_v2(
        "",
        TASK,
        (),
        {},
        ignore_result=True,
        argsrepr=ARGUMENTS_SHOWN,
        kwargsrepr=ARGUMENTS_SHOWN,
    )
    # What a worker takes to be so anyway is left out: writing it is a good part of sending.
    headers = {k: v for k, v in message.headers.items() if v not in (None, {}, [None, None])}
    return headers, orjson.dumps(message.body[2])


def _reuse_client(channel: Any) -> None:
    """Have a channel to Redis use one client: making one for each message takes half of its time.

    It is safe because one thread alone uses the channel.
    """
    create = getattr(channel, "_create_client", None)
    if create is None:
        return
    client = create()
    make_pipeline = client.pipeline

    def pipeline(*args: Any, **options: Any) -> Any:
        made = make_pipeline(*args, **options)
        # It quotes the message in the text of an error, which takes a second for each megabyte.
        made.annotate_exception = lambda *of_error: None
        return made

    client.pipeline = pipeline
    channel._create_client = lambda asynchronous=False: client

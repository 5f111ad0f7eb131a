"""Connections to the broker of a Celery application, whose calls all end within bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery
from kombu import Connection
from kombu.utils.url import maybe_sanitize_url, parse_url

HEARTBEAT = 10.0
"""Seconds between the heartbeats of an AMQP connection that listens."""
PING_SECONDS = 5.0
"""Seconds without a message after which a connection to Redis that listens is tested."""
CLOSING_SECONDS = 1.0
"""Seconds that the closing of a connection waits for each answer of the broker."""
MAX_REASON = 500
"""Characters of a reason that are reported."""


class ConnectionFailedError(Exception):
    """The broker cannot be reached, the connection is lost, or the broker refused something.

    The message is the reason, without a password.
    """


class Connections:
    """Opens connections to the broker of a Celery application, with the application's settings.

    Args:
        app: the Celery application.

    Attributes:
        address: where the broker is, without a password. Several addresses are separated by commas.
        driver: the kind of broker, such as ``redis`` or ``amqp``.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        lazy = app.connection_for_write()
        self.driver: str = lazy.transport.driver_type
        others = [maybe_sanitize_url(url) for url in lazy.alt[1:]]
        self.address = ", ".join([lazy.as_uri(), *others])

    def open(self, timeout: float, *, to_listen: bool = False) -> Connection:
        """Return a connection that is established.

        Args:
            timeout: seconds that connecting to an address may take, and each answer later on.
            to_listen: the connection reads: its user calls :func:`check` each second.

        Raises:
            ConnectionFailedError: the broker cannot be reached.
        """
        make = self._app.connection_for_read if to_listen else self._app.connection_for_write
        connection = make(
            connect_timeout=timeout,
            heartbeat=HEARTBEAT if to_listen else 0,
            transport_options=self._options(timeout, to_listen),
        )
        try:
            with failures(connection):
                # Each address is tried once, and without the pauses that Kombu makes by default.
                connection.ensure_connection(
                    max_retries=max(len(connection.alt), 1) - 1,
                    interval_start=0,
                    interval_step=0,
                    interval_max=0,
                )
                # Kombu waits for most of the answers of an AMQP broker without a limit.
                _set_timeout(connection, timeout)
                # Opens the channel that everything uses.
                _ = connection.default_channel
        except BaseException:
            close(connection)
            raise
        return connection

    def _options(self, timeout: float, to_listen: bool) -> dict[str, Any]:
        """Return what the transport of Kombu needs to be told, beside what the application says."""
        if self.driver == "amqp":
            # With confirmations, a call of publish() returns when the broker has the message.
            return {"confirm_publish": not to_listen}
        if self.driver != "redis":
            return {}
        options: dict[str, Any] = {
            "socket_connect_timeout": timeout,
            "socket_timeout": timeout,
            # What may have been sent is not sent again without the knowledge of who sends it.
            "retry_on_timeout": False,
        }
        if to_listen:
            options["health_check_interval"] = PING_SECONDS
        own = self._app.conf.broker_transport_options
        # Connections to Sentinel have limits of their own, and are tried again unless told not to.
        limits = {"socket_connect_timeout": timeout, "socket_timeout": timeout, "retry": None}
        options["sentinel_kwargs"] = {**limits, **(own.get("sentinel_kwargs") or {})}
        steps = own.get("priority_steps", [0])
        if 0 in steps:
            # Our messages have no priorities: one list for each queue instead of four.
            options["priority_steps"] = [0]
        return options


def check(connection: Connection) -> None:
    """Notice if the other side of a connection that listens is gone without a word.

    It is also what keeps a firewall from forgetting a connection over which nothing comes.

    Raises:
        Exception: it is gone. With Redis, it is connected anew instead, by the next wait.
    """
    driver = connection.transport.driver_type
    if driver == "amqp":
        connection.heartbeat_check()
    elif driver == "redis":
        # What Kombu calls only from the event loop of a worker of Celery. It tests what listens to
        # reports itself, while it waits.
        connection.transport.cycle.maybe_check_subclient_health()


def close(connection: Connection) -> None:
    """Close a connection, in whatever state it is. Does not raise."""
    with suppress(Exception):
        _set_timeout(connection, CLOSING_SECONDS)
    with suppress(Exception):
        connection.release()


@contextmanager
def failures(connection: Connection) -> Iterator[None]:
    """Raise whatever the clients of brokers raise as a :class:`ConnectionFailedError`.

    Beside their own exceptions they raise ``AttributeError``, ``TypeError`` and others if a
    connection is lost in the middle of a call: each exception is taken for a lost connection.
    """
    try:
        yield
    except Exception as error:
        raise ConnectionFailedError(_reason(connection, error)) from None


def _set_timeout(connection: Connection, timeout: float) -> None:
    """Limit how long a connection waits for an answer, where Kombu's options cannot."""
    if connection.transport.driver_type == "amqp" and connection.connected:
        connection.connection.sock.settimeout(timeout)


def _reason(connection: Connection, error: Exception) -> str:
    text = str(error) or type(error).__name__
    if not isinstance(error, OSError) and type(error).__module__ == "builtins":
        text = f"{type(error).__name__}: {text}"
    for password in _passwords(connection):
        text = text.replace(password, "**")
    return text[:MAX_REASON]


def _passwords(connection: Connection) -> list[str]:
    """Return all that a client may quote: that of Redis's Sentinel shows its own connections."""
    sentinel = connection.transport_options.get("sentinel_kwargs") or {}
    addresses = [parse_url(url).get("password") for url in connection.alt]
    found = [connection.password, sentinel.get("password"), *addresses]
    return [each for each in found if isinstance(each, str) and each]

"""The interface to a broker, which carries messages between the processes of an application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .messages import Message

Receive = Callable[[Message], None]
"""Takes a message that has arrived. Does not raise."""
Stopped = Callable[[], bool]
"""Returns whether to stop listening. It is called at least once a second."""


class Sender(Protocol):
    """A connection that sends. Used by one thread of the operating system.

    Its methods return when the broker has the message, and raise one of the transport's ``errors``
    if it does not.
    """

    def send_order(self, order: Message, returns: int = 0) -> None:
        """Put an order into the queue of orders, from which one worker takes it.

        Args:
            order: the order.
            returns: how often workers have given it back. The worker is told.
        """

    def send_notice(self, notice: Message) -> None:
        """Send a notice to all workers that listen."""

    def send_report(self, reply_to: str, report: Message) -> None:
        """Put a report into the queue of an owner. That it no longer exists is not an error."""

    def close(self) -> None:
        """Close the connection. Does not raise."""


class Transport(Protocol):
    """A broker. Thread-safe; every method that waits does so in a thread that is its caller's.

    Attributes:
        address: where the broker is, without a password.
        queue: the name of the queue of orders.
        advice: the command that starts a worker.
        errors: what is raised if the broker cannot be reached, or the connection is lost. Their
            texts say why, and have no password.
    """

    address: str
    queue: str
    advice: str
    errors: tuple[type[Exception], ...]

    def connect(self, timeout: float) -> Sender:
        """Return a new connection, made within ``timeout`` seconds."""

    def listen_for_reports(
        self, reply_to: str, receive: Receive, ready: Callable[[], None], stopped: Stopped
    ) -> None:
        """Make the queue of an owner, and receive what comes, on a connection of its own.

        Args:
            reply_to: the name of the queue. The broker removes it a few minutes after the last use.
            receive: called with each message.
            ready: called once messages are received.
            stopped: once this returns true, the method returns.
        """

    def listen_for_notices(
        self, receive: Receive, ready: Callable[[], None], stopped: Stopped
    ) -> None:
        """Receive all notices that are sent from now on, likewise."""

    def has_workers(self, timeout: float) -> bool:
        """Return whether any worker takes orders, however busy, by asking for ``timeout`` seconds.

        Workers that answer need not be able to run anything now.
        """


@dataclass(frozen=True)
class WorkerInfo:
    """A process that runs cases, by what itself says.

    Attributes:
        name: the name of the worker that it belongs to, such as ``celery@host``.
        process: the name of the process, such as ``celery@host/4711``; no other one has it.
        pool: how the worker runs several cases at a time, such as ``prefork`` or ``threads``.
        slots: cases that the process runs at a time.
        busy: cases that it runs now.
        evaluators: the names of the evaluators that it has.
        version: the version of this package.
        release: ``BRAINTRUST_EVALS_RELEASE``; empty if it is not set.
    """

    name: str
    process: str
    pool: str
    slots: int
    busy: int
    evaluators: tuple[str, ...]
    version: str
    release: str

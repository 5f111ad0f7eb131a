"""Threads that send and listen over a broker, and connect again when a connection is lost.

They are threads of the operating system also under gevent. What a broker's client library does (its
waiting, its retries, looking up names) then stops no greenlet, whatever it was imported before.
"""

from __future__ import annotations

import logging
import time
from _queue import Empty, SimpleQueue
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Generic, TypeVar

from flask_braintrust_evals.concurrency.gevent_patch import new_event, new_lock
from flask_braintrust_evals.concurrency.real_threads import start_real_thread
from flask_braintrust_evals.texts.excerpts import shortened

from .transport import Sender, Stopped, Transport

logger = logging.getLogger("flask_braintrust_evals")

CONNECT_TIMEOUT = 5.0
"""Seconds that making a connection may take."""
MIN_PAUSE = 0.2
MAX_PAUSE = 5.0
"""Seconds between attempts to connect; each pause is twice the last one."""
IDLE_SECONDS = 0.5
"""Seconds between two calls of ``idle`` while there is no connection."""

T = TypeVar("T")


class LinkLostError(Exception):
    """The connection is to be made anew, though no error of the broker says so."""


def reason_of(error: Exception) -> str:
    """Return why a connection was lost, in one line, for logs and messages."""
    return shortened(" ".join(str(error).split())) or type(error).__name__


class _Link:
    """A thread that serves one connection after another, until it is stopped.

    Args:
        transport: the broker.
        purpose: what is sent or listened for, for the log.

    Attributes:
        error: why the last connection could not be made or was lost; ``None``: it stands.
        failures: how often one could not be made, or was lost.
    """

    def __init__(self, transport: Transport, purpose: str) -> None:
        self._transport = transport
        self._purpose = purpose
        self._is_first = True
        self._starting = new_lock()
        self._is_started = False
        self._stopped = new_event()
        self._hurry: SimpleQueue[None] = SimpleQueue()
        self.error: Exception | None = None
        self.failures = 0

    def start(self) -> None:
        """Start the thread, unless it was started.

        Raises:
            RuntimeError: the system has no more threads; a later call may start it.
        """
        with self._starting:
            if not self._is_started:
                start_real_thread(self._work)
                self._is_started = True

    def stop(self) -> None:
        """Have the thread end soon."""
        self._stopped.set()
        self.hurry()

    def hurry(self) -> None:
        """If there is no connection, try to make one without a pause."""
        if self.error is not None:
            self._hurry.put(None)

    def idle(self) -> None:
        """Do what must be done also while there is no connection."""

    def connected(self, again: bool) -> None:
        """Do what must be done when a connection was made: the first one, or ``again``."""

    def serve(self) -> None:
        """Make a connection and use it until the link is stopped, or it is lost."""
        raise NotImplementedError

    def _work(self) -> None:
        pause = MIN_PAUSE
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self.serve()
            except Exception as error:
                if isinstance(error, (*self._transport.errors, LinkLostError)):
                    self._note(error)
                else:
                    self.error = error
                    logger.exception("%s failed, and begins anew", self._purpose)
            else:
                continue  # it is stopped, or is to make another connection
            if self._stopped.is_set():
                return
            pause = MIN_PAUSE if time.monotonic() - began > MAX_PAUSE else pause
            self._rest(pause)
            pause = min(MAX_PAUSE, pause * 2)

    def _rest(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.idle()
            try:
                self._hurry.get(timeout=min(left, IDLE_SECONDS))
            except Empty:
                continue
            while not self._hurry.empty():
                self._hurry.get()
            return

    def _note(self, error: Exception) -> None:
        self.failures += 1
        if self.error is None:
            logger.warning(
                "the connection to the broker at %s is lost (%s; %s); trying again",
                self._transport.address,
                self._purpose,
                reason_of(error),
            )
        self.error = error

    def _note_connected(self) -> None:
        if self.error is not None:
            logger.warning(
                "connected to the broker at %s again (%s)", self._transport.address, self._purpose
            )
        self.error = None
        self.connected(not self._is_first)
        self._is_first = False


class Outbox(_Link, Generic[T]):
    """Sends what is put into it."""

    def __init__(self, transport: Transport, purpose: str) -> None:
        super().__init__(transport, purpose)
        self._arrived: SimpleQueue[T | None] = SimpleQueue()
        self._waiting: deque[T] = deque()

    def deliver(self, sender: Sender, waiting: deque[T]) -> None:
        """Send at most one message of what waits, and remove what is done with.

        It is called until nothing waits. Whatever is left when it raises is delivered over the next
        connection.
        """
        raise NotImplementedError

    def tick(self, sender: Sender) -> float:
        """Do what must be done also between two messages; return the seconds to the next call."""
        raise NotImplementedError

    def hold(self) -> float:
        """Return for how many seconds what waits need not be sent."""
        return 0.0

    def put(self, item: T) -> None:
        """Have something sent. Never waits."""
        self._arrived.put(item)

    def wake(self) -> None:
        """Have ``tick`` called now."""
        self._arrived.put(None)

    def stop(self) -> None:
        """Have the thread end soon, with what waits sent if there is a connection."""
        super().stop()
        self.wake()

    def serve(self) -> None:
        with closing(self._transport.connect(CONNECT_TIMEOUT)) as sender:
            self._note_connected()
            next_tick = 0.0
            while True:
                is_stopped = self._stopped.is_set()
                until_tick = next_tick - time.monotonic()
                wait = min(self.hold(), until_tick) if self._waiting else until_tick
                woken = self._collect(0.0 if is_stopped else wait)
                if self._waiting and (is_stopped or self.hold() <= 0):
                    self.deliver(sender, self._waiting)
                if woken or time.monotonic() >= next_tick:
                    next_tick = time.monotonic() + self.tick(sender)
                if is_stopped and not self._waiting:
                    return

    def _collect(self, timeout: float) -> bool:
        """Wait for something to send, and take all there is; return whether to tick now."""
        woken = False
        try:
            item = self._arrived.get(timeout=max(0.0, timeout))
            while True:
                if item is None:
                    woken = True
                else:
                    self._waiting.append(item)
                item = self._arrived.get_nowait()
        except Empty:
            return woken


class Listener(_Link):
    """Listens.

    Args:
        transport: the broker.
        purpose: what is listened for, for the log.
        listen: a method of the transport, with all arguments but the last two.
    """

    def __init__(
        self,
        transport: Transport,
        purpose: str,
        listen: Callable[[Callable[[], None], Stopped], None],
    ) -> None:
        super().__init__(transport, purpose)
        self._listen = listen
        self._connection = 0

    def reconnect(self) -> None:
        """Drop the connection and make another one."""
        self._connection += 1

    def serve(self) -> None:
        number = self._connection
        self._listen(
            self._note_connected, lambda: self._stopped.is_set() or self._connection != number
        )

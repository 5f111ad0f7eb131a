"""A bounded queue of events, from the workers of a run to its consumer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from queue import Empty
from typing import Generic, TypeVar

from .gevent_patch import new_lock
from .signals import Signal, new_signal

T = TypeVar("T")


class ChannelClosedError(Exception):
    """The channel is closed: nothing can be put in or taken out."""


class Channel(Generic[T]):
    """A bounded queue with many producers and one consumer. Thread-safe.

    ``queue.Queue`` has no bound in bytes, hands out one item at a time, and cannot wake producers
    that wait in ``put`` when the consumer stops (its ``shutdown`` came with Python 3.13).

    Args:
        capacity: items that may wait.
        max_size: bytes that may wait; a single item may be larger.

    Attributes:
        capacity: the same. It may be raised: whoever waits goes on when items have been taken.
    """

    def __init__(self, capacity: int, max_size: float = math.inf) -> None:
        self.capacity = capacity
        self._max_size = max_size
        self._items: list[T] = []
        self._size = 0
        self._closed = False
        self._lock = new_lock()
        self._consumer: Signal | None = None
        self._producers: list[Signal] = []

    def put(self, item: T, size: int = 0) -> None:
        """Add an item of ``size`` bytes, waiting while the channel is full.

        Raises:
            ChannelClosedError: the channel is closed, or was closed while waiting.
        """
        while True:
            with self._lock:
                if self._closed:
                    raise ChannelClosedError
                waiting = len(self._items)
                fits = not waiting or self._size + size <= self._max_size
                if fits and waiting < self.capacity:
                    self._size += size
                    self._items.append(item)
                    if self._consumer is not None:
                        self._wake_consumer()
                    return
                drained = new_signal()
                self._producers.append(drained)
            drained.wait()

    def put_last(self, item: T) -> None:
        """Add an item even if the channel is full; do nothing if it is closed.

        For the marker that no further item comes.
        """
        with self._lock:
            if not self._closed:
                self._items.append(item)
                self._wake_consumer()

    def take(
        self, timeout: float | None = None, gather: Callable[[], None] = lambda: None
    ) -> list[T]:
        """Take all items, the oldest first, waiting at most ``timeout`` seconds for one.

        Args:
            timeout: seconds; ``None``: no limit.
            gather: called when there is an item, before all are taken. While it waits for something
                else, more may be added.

        Raises:
            queue.Empty: there was none.
            ChannelClosedError: the channel is closed, or was closed while waiting.
        """
        self._wait(timeout)
        gather()
        with self._lock:
            if self._closed:
                raise ChannelClosedError
            items, self._items, self._size = self._items, [], 0
            self._wake_producers()
            return items

    def _wait(self, timeout: float | None) -> None:
        """Wait until there is an item, or the channel is closed."""
        limit = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                if self._closed or self._items:
                    return
                left = None if limit is None else limit - time.monotonic()
                if left is not None and left <= 0:
                    raise Empty
                self._consumer = filled = new_signal()
            filled.wait(left)

    def close(self) -> None:
        """Drop what is waiting, and have every waiting and later call fail."""
        with self._lock:
            self._closed = True
            self._items.clear()
            self._wake_producers()
            self._wake_consumer()

    def _wake_consumer(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.set()

    def _wake_producers(self) -> None:
        producers, self._producers = self._producers, []
        for producer in producers:
            producer.set()

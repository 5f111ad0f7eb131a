"""Where concurrency lives: threads that run cases, and the channel their events come through.

All of it is the standard library's ``threading``, made when a run starts and never at import. Under
gunicorn's gevent worker, which patches the standard library in each worker process, the threads
are therefore greenlets and the locks give way to other greenlets, also when the application was
imported before the patching (``--preload``). That case is why there is no
``concurrent.futures.ThreadPoolExecutor`` here: it starts threads under a lock made at its import,
which is then of the unpatched kind and stops the whole process once two greenlets want it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from queue import Empty
from typing import Generic, TypeVar

T = TypeVar("T")


LONGEST_WAIT = 60.0
"""Seconds to wait at a stretch: a gevent hub that waits for another thread and has no timer of its
own believes that nothing can ever happen, and gives up."""


class ChannelClosedError(Exception):
    """Nobody listens any more. Ends the worker that was about to speak."""


class Channel(Generic[T]):
    """A bounded queue between the workers of a run and its one listener, which either may leave.

    ``queue.Queue`` cannot wake those who wait in ``put`` when the listener leaves (its ``shutdown``
    came with Python 3.13), and hands out one item at a time.

    Args:
        capacity: items that may wait.
        room: bytes that may wait; a single item may be larger.
    """

    def __init__(self, capacity: int, room: float = math.inf) -> None:
        self._capacity = capacity
        self._room = room
        self._items: list[T] = []
        self._size = 0
        self._closed = False
        # A Condition asks a plain Lock whether it is owned by trying to take it, and gevent's Lock
        # then gives way to other greenlets: once for each event.
        self._lock = threading.RLock()
        self._filled = threading.Condition(self._lock)
        self._drained = threading.Condition(self._lock)

    def put(self, item: T, size: int = 0) -> None:
        """Add an item of so many bytes, waiting while the channel is full.

        Raises:
            ChannelClosedError: the channel is, or meanwhile was, closed.
        """
        with self._lock:
            while self._is_full(size) and not self._closed:
                self._drained.wait()
            if self._closed:
                raise ChannelClosedError
            self._size += size
            self._add(item)

    def put_last(self, item: T) -> None:
        """Add an item without waiting, though the channel is full: the last word of the workers."""
        with self._lock:
            if not self._closed:
                self._add(item)

    def take(self, timeout: float | None = None) -> list[T]:
        """Take all items, the oldest first, waiting at most ``timeout`` seconds for one.

        Raises:
            queue.Empty: there was none.
        """
        with self._lock:
            limit = math.inf if timeout is None else time.monotonic() + timeout
            while not self._items:
                left = limit - time.monotonic()
                if left <= 0:
                    raise Empty
                self._filled.wait(min(left, LONGEST_WAIT))
            items, self._items, self._size = self._items, [], 0
            self._drained.notify_all()
            return items

    def close(self) -> None:
        """Drop what is waiting and turn away those who put."""
        with self._lock:
            self._closed = True
            self._items.clear()
            self._drained.notify_all()

    def _is_full(self, size: int) -> bool:
        waiting = len(self._items)
        return waiting >= self._capacity or (waiting > 0 and self._size + size > self._room)

    def _add(self, item: T) -> None:
        self._items.append(item)
        if len(self._items) == 1:
            self._filled.notify()


def start_worker(work: Callable[[], None], name: str) -> None:
    """Run ``work`` in a thread of its own (a greenlet where gevent has patched).

    It is a daemon: a task that never returns must not keep the process from ending.

    Raises:
        RuntimeError: the system has no more threads.
    """
    threading.Thread(target=work, name=name, daemon=True).start()

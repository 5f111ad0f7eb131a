"""Calls functions later, on one thread for all of them, which exists only while it is needed."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .gevent_patch import MAX_WAIT, start_thread

logger = logging.getLogger("flask_braintrust_evals")

IDLE_SECONDS = 5.0
"""Seconds without timers after which the thread ends. Until then, no new one has to be started."""
MAX_CANCELLED = 64
"""Cancelled timers that may be kept before they are removed."""


@dataclass(eq=False, slots=True)
class Timer:
    """A call that is to be made later, unless it is cancelled before."""

    _owner: _Timers
    at: float
    callback: Callable[[], None] | None

    def cancel(self) -> None:
        """Do not make the call; nothing happens if it was made. May be called again."""
        # The callback is dropped at once: it usually refers to a whole run.
        if self.callback is not None:
            self.callback = None
            self._owner.note_cancelled()


class _Timers:
    """The timers of this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count()  # timers of the same time are not compared
        self._heap: list[tuple[float, int, Timer]] = []
        self._cancelled = 0
        self._has_thread = False

    def add(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self, time.monotonic() + seconds, callback)
        with self._changed:
            heapq.heappush(self._heap, (timer.at, next(self._numbers), timer))
            if self._has_thread:
                if self._heap[0][2] is timer:
                    self._changed.notify()
                return timer
            self._has_thread = True
        try:
            start_thread(self._serve, "braintrust-evals-timers")
        except RuntimeError:
            with self._changed:
                self._has_thread = False
            timer.cancel()
            raise
        return timer

    def note_cancelled(self) -> None:
        with self._changed:
            self._cancelled += 1
            if self._cancelled > MAX_CANCELLED and self._cancelled > len(self._heap) // 2:
                self._heap = [entry for entry in self._heap if entry[2].callback is not None]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def _serve(self) -> None:
        try:
            while (timer := self._next()) is not None:
                callback, timer.callback = timer.callback, None
                try:
                    if callback is not None:
                        callback()
                except Exception:
                    logger.exception("a timer failed")
                del callback, timer
        except BaseException:
            # gunicorn ends a worker by SystemExit, wherever it runs. The next timer starts a
            # thread again.
            with self._changed:
                self._has_thread = False
            raise

    def _next(self) -> Timer | None:
        """Wait for the next timer and return it; ``None``: the thread is no longer needed."""
        ends = time.monotonic() + IDLE_SECONDS
        with self._changed:
            while True:
                while self._heap and self._heap[0][2].callback is None:
                    heapq.heappop(self._heap)
                    self._cancelled = max(0, self._cancelled - 1)
                now = time.monotonic()
                if self._heap:
                    at = ends = self._heap[0][0]
                    ends += IDLE_SECONDS
                    if at <= now:
                        return heapq.heappop(self._heap)[2]
                elif now >= ends:
                    self._has_thread = False
                    return None
                else:
                    at = ends
                self._changed.wait(min(at - now, MAX_WAIT))


_timers: _Timers | None = None


def call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Have ``callback`` called in ``seconds`` seconds, on the thread that serves all timers.

    It should be quick: other timers wait for it. What it raises is logged.

    Raises:
        RuntimeError: the system has no more threads.
    """
    global _timers
    if _timers is None:
        _timers = _Timers()
    return _timers.add(seconds, callback)


def _forget() -> None:
    global _timers
    _timers = None


# A forked child has the timers of its parent, but not the thread that serves them.
os.register_at_fork(after_in_child=_forget)

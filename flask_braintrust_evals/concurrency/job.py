"""A call that runs elsewhere: in another thread, in a pool, or on an event loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .gevent_patch import new_lock
from .signals import Signal, new_signal

T = TypeVar("T")


class DeadlineError(Exception):
    """A deadline has passed. Not a ``TimeoutError``, which user code raises too."""


class Job(Generic[T]):
    """Connects a call that runs elsewhere with the thread that waits for its result.

    Args:
        receive: called by the waiting thread with each item that the call posts.

    Attributes:
        ended_ns: when the call ended, by ``time.monotonic_ns()``; 0 while it has not.
    """

    def __init__(self, receive: Callable[[Any], None] = lambda item: None) -> None:
        self._receive = receive
        self._items: deque[Any] = deque()
        self._is_done = False
        self._is_wanted = True
        self.ended_ns = 0
        self._result: Any = None
        self._error: BaseException | None = None
        self._cancel: Callable[[], None] = _nothing
        self._ending = new_lock()  # taken by whoever ends the call first, and never released
        self._signal: Signal | None = None

    def run(self, function: Callable[[], T]) -> None:
        """Call ``function`` and keep its result, or what it raises."""
        try:
            result = function()
        except BaseException as error:
            self.fail(error)
        else:
            self.succeed(result)

    def post(self, item: Any) -> None:
        """Pass an item to the waiting thread. Never waits."""
        self._items.append(item)
        self._wake()

    def succeed(self, result: T) -> None:
        """End the waiting, once everything posted before is received, with a result."""
        self._finish(result, None)

    def fail(self, error: BaseException) -> None:
        """End the waiting, once everything posted before is received, with an exception."""
        self._finish(None, error)

    def when_cancelled(self, callback: Callable[[], None]) -> None:
        """Have :meth:`cancel` call ``callback``, which stops the call where it runs."""
        self._cancel = callback

    def cancel(self) -> None:
        """Stop the call, if that is possible where it runs; nothing happens if it has ended."""
        self._cancel()

    def leave(self) -> None:
        """Wait no more: what the call returns or raises is not kept, nor what it refers to."""
        self._is_wanted = False

    def wait(self, deadline: float | None = None) -> T:
        """Receive posted items, in their order, until the call has ended.

        May be called again after :class:`DeadlineError`.

        Args:
            deadline: when to stop waiting, by ``time.monotonic()``.

        Returns:
            what the call returned; raises what it raised.

        Raises:
            DeadlineError: the deadline has passed.
        """
        self.wait_until_done(deadline)
        return self.result()

    def wait_until_done(self, deadline: float | None = None) -> None:
        """Do as :meth:`wait`, but return nothing and do not raise what the call raised."""
        while True:
            # Asked before the items are taken, so that all that were posted by then are received.
            is_done = self._is_done
            while self._items:
                self._receive(self._items.popleft())
            if is_done:
                return
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise DeadlineError
            self._signal = new_signal()
            # Asked when the signal is there: what happens from now on sets it.
            if not self._items and not self._is_done:
                self._signal.wait(left)
            self._signal = None

    def result(self) -> T:
        """Return what a call that has ended returned; raise what it raised, once.

        An exception refers to the frames that it has passed, and so to this, which forgets it.
        """
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        result: T = self._result
        return result

    def _finish(self, result: T | None, error: BaseException | None) -> None:
        if not self._ending.acquire(blocking=False):
            return
        if self._is_wanted:
            self._result, self._error = result, error
        self.ended_ns = time.monotonic_ns()
        self._is_done = True
        self._cancel = _nothing  # which usually refers to this job
        self._wake()

    def _wake(self) -> None:
        signal = self._signal
        if signal is not None:
            signal.set()


def _nothing() -> None:
    pass

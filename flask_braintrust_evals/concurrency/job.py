"""A call that runs elsewhere: in another thread, in a pool, or on an event loop."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from .gevent_patch import MAX_WAIT

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
        self.ended_ns = 0
        self._result: T | None = None
        self._error: BaseException | None = None
        self._cancel: Callable[[], None] = _nothing
        self._changed = threading.Condition()

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
        with self._changed:
            self._items.append(item)
            self._changed.notify()

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
        limit = math.inf if deadline is None else deadline
        while True:
            with self._changed:
                while not self._items and not self._is_done:
                    left = limit - time.monotonic()
                    if left <= 0:
                        raise DeadlineError
                    self._changed.wait(min(left, MAX_WAIT))
                if not self._items:
                    return
                item = self._items.popleft()
            self._receive(item)

    def result(self) -> T:
        """Return what a call that has ended returned; raise what it raised."""
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    def _finish(self, result: T | None, error: BaseException | None) -> None:
        with self._changed:
            if self._is_done:
                return
            self._is_done, self._result, self._error = True, result, error
            self.ended_ns = time.monotonic_ns()
            self._changed.notify()


def _nothing() -> None:
    pass

"""What code that runs elsewhere has to say to the worker that waits for it."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .channel import LONGEST_WAIT


class DeadlineError(Exception):
    """Whoever waited has waited long enough. Not a ``TimeoutError``: tasks raise those."""


class Mailbox:
    """Items that are posted by any thread, and received by one that waits. Posting never waits.

    Args:
        receive: called with each item, by the thread that waits.
    """

    def __init__(self, receive: Callable[[Any], None] = lambda item: None) -> None:
        self._receive = receive
        self._items: deque[Any] = deque()
        self._finished = False
        self._changed = threading.Condition()

    def post(self, item: Any) -> None:
        """Have ``item`` received."""
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def finish(self, _: object = None) -> None:
        """End the waiting, once everything posted before is received."""
        with self._changed:
            self._finished = True
            self._changed.notify()

    def deliver(self, deadline: float | None = None) -> None:
        """Receive items, in the order posted, until :meth:`finish` is called.

        Args:
            deadline: when to wait no longer, by ``time.monotonic()``.

        Raises:
            DeadlineError: it has passed.
        """
        limit = math.inf if deadline is None else deadline
        while True:
            with self._changed:
                while not self._items and not self._finished:
                    left = limit - time.monotonic()
                    if left <= 0:
                        raise DeadlineError
                    self._changed.wait(min(left, LONGEST_WAIT))
                if not self._items:
                    return
                item = self._items.popleft()
            self._receive(item)

"""Bounds the memory of the calls that the scorers of a run make at the same time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.gevent_patch import new_event, new_lock
from flask_braintrust_evals.errors import RunError


@dataclass(eq=False)
class _Turn:
    size: int
    comes: threading.Event
    has_room: bool = False


class CallRoom:
    """The characters that all calls which are made at the same time may have together. Thread-safe.

    Calls get room in the order in which they ask for it.

    Args:
        size: how many there are. No call may have more.
        cancellation: that of the run.
    """

    def __init__(self, size: int, cancellation: Cancellation) -> None:
        self._free = size
        self._cancellation = cancellation
        self._lock = new_lock()
        self._waiting: deque[_Turn] = deque()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until there is room for a call, and take it for a ``with`` block.

        Raises:
            RunError: the run is cancelled.
        """
        turn = _Turn(size, new_event())
        self._change(lambda: self._waiting.append(turn))
        try:
            with self._cancellation.calling(turn.comes.set):
                turn.comes.wait()
            if self._cancellation.is_set() or not turn.has_room:
                raise RunError("the run was cancelled before the call was made")
            yield
        finally:
            self._change(lambda: self._release(turn))

    def _release(self, turn: _Turn) -> None:
        if turn.has_room:
            self._free += turn.size
        else:  # the run, or the greenlet that waits for it, ends
            self._waiting.remove(turn)

    def _change(self, change: Callable[[], None]) -> None:
        """Change something with the lock held, and then let those begin that have room."""
        begin: list[_Turn] = []
        with self._lock:
            change()
            while self._waiting and self._waiting[0].size <= self._free:
                turn = self._waiting.popleft()
                self._free -= turn.size
                turn.has_room = True
                begin.append(turn)
        for turn in begin:
            turn.comes.set()

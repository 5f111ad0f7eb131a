"""Bounds the calls that scorers make at the same time: their memory, and their connections."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.concurrency.signals import Signal, new_signal
from flask_braintrust_evals.errors import RunError


@dataclass(eq=False)
class _Turn:
    size: int
    comes: Signal
    has_room: bool = False


class CallRoom:
    """The characters that all calls which are made at the same time may have together. Thread-safe.

    Calls get room in the order in which they ask for it.

    Args:
        size: how many there are. No call may have more.
        cancellation: that of the run.
        places: limits the calls at a time of all runs that share it; ``None``: no limit.
    """

    def __init__(self, size: int, cancellation: Cancellation, places: Places | None = None) -> None:
        self._free = size
        self._places = (places or Places(sys.maxsize)).group(lambda: self._begin(has_place=True))
        self._cancellation = cancellation
        self._lock = new_lock()
        self._waiting: deque[_Turn] = deque()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Wait until there is room for a call, and take it for a ``with`` block.

        Raises:
            RunError: the run is cancelled.
        """
        turn = _Turn(size, new_signal())
        with self._lock:
            self._waiting.append(turn)
        self._begin()
        try:
            with self._cancellation.calling(turn.comes.set):
                turn.comes.wait()
            if self._cancellation.is_set() or not turn.has_room:
                raise RunError("the run was cancelled before the call was made")
            yield
        finally:
            self._release(turn)

    def _release(self, turn: _Turn) -> None:
        with self._lock:
            if turn.has_room:
                self._free += turn.size
            else:  # the run, or the greenlet that waits for it, ends
                self._waiting.remove(turn)
        if turn.has_room:
            self._places.release()  # which may go to another run
        self._begin()

    def _begin(self, has_place: bool = False) -> bool:
        """Let those begin that have room and a place; return whether there was one.

        Args:
            has_place: whether a place has been taken for the first of them.
        """
        begin: list[_Turn] = []
        with self._lock:
            while self._waiting and self._waiting[0].size <= self._free:
                if not (has_place or self._places.take()):
                    break
                has_place = False
                turn = self._waiting.popleft()
                self._free -= turn.size
                turn.has_room = True
                begin.append(turn)
        for turn in begin:
            turn.comes.set()
        return bool(begin)

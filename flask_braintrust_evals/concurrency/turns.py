"""Fair scheduling under gevent: the greenlets of cases share slices of a few milliseconds.

Where many cases run at a time, thousands of greenlets may be ready at once. gevent runs greenlets
in the order in which they became ready, so that any other request would wait for all of them. The
greenlets of cases and streams therefore wait in queues of their own, and after each slice gevent
runs the rest of the process: what is ready on sockets, and timers.

Without gevent nothing here does anything, since the operating system schedules threads fairly.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from enum import IntEnum
from typing import Any

from .gevent_patch import is_patched, original

SLICE = 0.005
"""Seconds that the greenlets of cases may run at a stretch."""
OVERDUE_AFTER = 0.1
"""Seconds after which a greenlet is run whatever its priority: one in each slice."""
LARGE = 100_000
"""Bytes or characters of a value that takes about a millisecond to write or to copy."""


class Turn(IntEnum):
    """Priority of a waiting greenlet; lower values first.

    Finishing a case precedes starting one, to bound the memory that running cases take. But a run
    whose cases take much time must not keep other runs from starting any. Streams come after the
    cases whose tasks have ended, so that they send many events at a time; only their first results
    come before all else.
    """

    FIRST_RESULT = 0
    CONTINUE = 1
    CONSUME = 2
    BEGIN = 3


class TurnWait:
    """The wait of one greenlet for its turn."""

    __slots__ = ("_queues", "_waiter", "since")

    def __init__(self) -> None:
        self.since = 0.0
        self._queues: tuple[_Queue, ...] = ()
        self._waiter: list[Any] = []  # none before the greenlet waits, and when it goes on

    def begin(self, waiter: Any, now: float, queues: tuple[_Queue, ...], turn: Turn) -> None:
        self.since = now
        self._queues = queues
        self._waiter.append(waiter)
        queues[turn].append(self)

    def move_to(self, turn: Turn) -> None:
        """Have the greenlet, if it waits, go on in ``turn`` if that comes earlier."""
        if self._waiter:
            self._queues[turn].append(self)

    def end(self) -> None:
        """Let the greenlet go on, unless it has done so from another queue."""
        if self._waiter:
            self._waiter.pop().switch(None)


_Queue = deque[TurnWait]


class _Queues:
    """The greenlets of one thread that wait for their turn, by priority.

    Args:
        hub: the thread's.
    """

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self._waiting: tuple[_Queue, ...] = tuple(deque() for _ in Turn)
        self._expects_to_run = False
        self._ends = 0.0
        self._next: Any = None

    def wait(self, turn: Turn, wait: TurnWait | None) -> None:
        now = time.monotonic()
        if not self._expects_to_run:
            self._expects_to_run = True
            self._ends = now + SLICE
            self.hub.loop.run_callback(self._run)
        elif now >= self._ends:
            waiter = sys.modules["gevent.hub"].Waiter(self.hub)
            (wait or TurnWait()).begin(waiter, now, self._waiting, turn)
            waiter.get()

    def _run(self) -> None:
        """Run waiting greenlets for one slice. Called by gevent's hub, between other callbacks."""
        self.cancel()
        now = time.monotonic()
        self._ends = now + SLICE
        queue = self._overdue(now) or self._first()
        while queue is not None:
            queue.popleft().end()
            queue = self._first()
            if time.monotonic() >= self._ends:
                break
        self._expects_to_run = queue is not None
        if queue is not None:
            # By a timer, which gevent looks at when it has also looked at sockets and other timers.
            # Of callbacks it may run fifty before that, each of them a slice.
            self._next = self.hub.loop.timer(0)
            self._next.start(self._run)

    def cancel(self) -> None:
        """Do not run the next slice, if one is to be run."""
        timer, self._next = self._next, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _overdue(self, now: float) -> _Queue | None:
        """Return the queue of least priority whose first greenlet has waited for too long."""
        for queue in reversed(self._waiting):
            if queue and now - queue[0].since > OVERDUE_AFTER:
                return queue
        return None

    def _first(self) -> _Queue | None:
        for queue in self._waiting:
            if queue:
                return queue
        return None


_of_thread: Any = original("_thread", "_local")()


def wait_for_turn(turn: Turn, wait: TurnWait | None = None) -> None:
    """Return at once if the current slice is not used up; else wait for a later one.

    To be called by the greenlet of a case or a stream after it has waited for something else.

    Args:
        turn: the priority of the greenlet.
        wait: what moves it to another turn while it waits; of one call only.
    """
    queues: _Queues | None = getattr(_of_thread, "queues", None)
    if queues is None or queues.hub is not sys.modules["gevent"].get_hub():
        if not is_patched():
            return
        queues = _of_thread.queues = _Queues(sys.modules["gevent"].get_hub())
    queues.wait(turn, wait)


def wait_after(size: int) -> None:
    """Let others run if so many bytes or characters have just been made that it took long."""
    if size > LARGE:
        let_others_run()


def let_others_run() -> None:
    """Let others run, if the current slice is used up, in the middle of something that is large."""
    wait_for_turn(Turn.CONTINUE)


def _forget() -> None:
    """Leave the greenlets of the parent to the parent: called in a forked child."""
    queues = _of_thread.__dict__.pop("queues", None)
    if queues is not None:
        queues.cancel()


os.register_at_fork(after_in_child=_forget)

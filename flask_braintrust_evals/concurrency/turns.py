"""Greenlets that go on one after another, so that others are not kept waiting by their number.

Where many cases run at a time, thousands of greenlets may be ready at once, and whatever else the
process serves would stand in line behind all of them: gevent runs greenlets in the order in which
they became ready. So ours stand in a line of their own, and after each few milliseconds the rest
of the process has its turn.

Without gevent nothing here does anything: the operating system sees to that.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from enum import IntEnum
from typing import Any
from weakref import WeakKeyDictionary

from .gevent_patch import is_patched

SLICE = 0.005
"""Seconds that ours may go on at a stretch."""


class Turn(IntEnum):
    """What for. The lower come first, so that what is begun is finished before more is begun:
    what is under way takes memory, and time of the garbage collector.
    """

    CONSUME = 0
    CONTINUE = 1
    BEGIN = 2


class _Line:
    """Those who wait for their turn in one thread."""

    def __init__(self) -> None:
        self._waiting: tuple[deque[Any], ...] = tuple(deque() for _ in Turn)
        self._expects_to_run = False
        self._ends = 0.0

    def wait(self, hub: Any, turn: Turn) -> None:
        now = time.monotonic()
        if not self._expects_to_run:
            self._expects_to_run = True
            self._ends = now + SLICE
            hub.loop.run_callback(self._run, hub)
        elif now >= self._ends:
            waiter = sys.modules["gevent.hub"].Waiter(hub)
            self._waiting[turn].append(waiter)
            waiter.get()

    def _run(self, hub: Any) -> None:
        """Let those who wait go on, for a slice. Called by gevent's hub, as one among others."""
        self._ends = time.monotonic() + SLICE
        while (line := self._first()) is not None and time.monotonic() < self._ends:
            line.popleft().switch(None)
        self._expects_to_run = line is not None
        if line is not None:
            hub.loop.run_callback(self._run, hub)

    def _first(self) -> deque[Any] | None:
        for line in self._waiting:
            if line:
                return line
        return None


_lines: WeakKeyDictionary[Any, _Line] = WeakKeyDictionary()


def wait_for_turn(turn: Turn) -> None:
    """Wait until it is the caller's turn: at once, unless ours have gone on for a while.

    To be called where a greenlet has waited for something else, before it goes on.
    """
    if not is_patched():
        return
    hub = sys.modules["gevent"].get_hub()
    line = _lines.get(hub)
    if line is None:
        line = _lines[hub] = _Line()
    line.wait(hub, turn)


# What was to run in the parent's hub will not run in the child's.
os.register_at_fork(after_in_child=_lines.clear)

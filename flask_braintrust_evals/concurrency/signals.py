"""Signals: one thread or greenlet waits until another one, on any thread, sets the signal.

A ``threading.Condition`` does this, too, but under gevent it is made of locks that switch greenlets
whenever they are asked whether they are held, and a lock that another thread releases wakes the
waiting thread by a system call of its own. Here, all greenlets of a thread that others have woken
meanwhile are switched to in one go.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from .gevent_patch import is_patched, new_lock, original, real_thread_id


class Signal(Protocol):
    """A signal for which the thread or greenlet that made it waits once."""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the signal is set, at most ``seconds``; return whether it is set."""

    def set(self) -> None:
        """End the waiting, now or later. Never waits; may be called again, from any thread."""


def new_signal() -> Signal:
    """Return a signal for the calling thread, or greenlet under gevent, to wait for."""
    return GreenletSignal() if is_patched() else ThreadSignal()


class ThreadSignal:
    """A signal for a thread of the operating system."""

    __slots__ = ("_is_set", "_lock")

    def __init__(self) -> None:
        self._is_set = False
        self._lock = new_lock()
        self._lock.acquire()

    def wait(self, seconds: float | None = None) -> bool:
        if not self._is_set:
            self._lock.acquire(timeout=-1 if seconds is None else max(0.0, seconds))
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        try:  # which takes less than suppress()
            self._lock.release()
        except RuntimeError:  # it was set before
            pass


class GreenletSignal:
    """A signal for a greenlet."""

    __slots__ = ("_is_set", "_waiter", "_wakes")

    def __init__(self) -> None:
        self._is_set = False
        self._wakes = _wakes_of_this_thread()
        self._waiter: Any = None

    def wait(self, seconds: float | None = None) -> bool:
        wakes = self._wakes
        hub = wakes.hub
        waiter = self._waiter = sys.modules["gevent.hub"].Waiter(hub)
        timer = None
        wakes.add_waiting()
        try:
            # Asked when the waiter is there: who sets the signal from now on wakes it.
            if not self._is_set:
                if seconds is not None:
                    timer = hub.loop.timer(max(0.0, seconds))
                    timer.start(waiter.switch, None)
                waiter.get()
        finally:
            wakes.remove_waiting()
            if timer is not None:
                timer.stop()
                timer.close()
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiter = self._waiter
        if waiter is not None:
            self._wakes.wake(waiter)


class _Wakes:
    """The greenlets of one thread that wait for signals which have been set.

    Args:
        hub: the thread's.
    """

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self._loop = hub.loop
        self._thread = real_thread_id()
        self._woken: deque[Any] = deque()
        self._expects_drain = False
        self._waiting = 0
        # Only this can be used from other threads. While it is started, the hub knows that there is
        # something to wait for: it takes itself for deadlocked otherwise.
        self._watcher = self._loop.async_()

    def add_waiting(self) -> None:
        self._waiting += 1
        if self._waiting == 1:
            self._watcher.start(self._drain)
            # What was set while nobody waited has asked for nothing, or was not heard.
            self._expects_drain = False
            if self._woken:
                self._ask()

    def remove_waiting(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._watcher.stop()

    def wake(self, waiter: Any) -> None:
        self._woken.append(waiter)
        # In this order: whoever comes to wait later looks at what is there.
        if self._waiting and not self._expects_drain:
            self._ask()

    def _ask(self) -> None:
        self._expects_drain = True
        if real_thread_id() == self._thread:
            self._loop.run_callback(self._drain)
        else:
            with suppress(ValueError):  # the thread has ended, and left a greenlet behind
                self._watcher.send()

    def _drain(self) -> None:
        """Switch to those that were woken. Called by the hub."""
        self._expects_drain = False
        woken = self._woken
        # One that is woken meanwhile waits for the next time: the hub has other things to do, too.
        for _ in range(len(woken)):
            woken.popleft().switch(None)


_of_thread: Any = original("_thread", "_local")()


def _wakes_of_this_thread() -> _Wakes:
    hub = sys.modules["gevent"].get_hub()
    wakes: _Wakes | None = getattr(_of_thread, "wakes", None)
    if wakes is None or wakes.hub is not hub:
        wakes = _of_thread.wakes = _Wakes(hub)
    return wakes


def _forget() -> None:
    # The greenlets that wait in a forked child are those of its parent: nobody wakes them there.
    _of_thread.__dict__.clear()


os.register_at_fork(after_in_child=_forget)

"""Locks of :mod:`logging` for greenlets of several threads.

One of gevent's locks that greenlets of several threads wait for is not always handed on: a call
that logs may then wait for ever, and its run with it.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections import deque
from typing import Any

from .gevent_patch import is_patched, new_lock, original
from .signals import Signal, new_signal


class LoggingLock:
    """A reentrant lock for greenlets of any number of threads.

    Greenlets of one thread first wait for a lock of gevent's that is their thread's alone. The one
    that has it waits for the other threads: on the main thread by a signal, so that its other
    greenlets go on, since the thread that has the lock may wait for one of them; elsewhere by a
    lock of the operating system.

    Args:
        former: the lock in whose place this one is. Greenlets that wait for it by then still get
            it, and release this one.
    """

    def __init__(self, former: Any) -> None:
        self._former = former
        # Logging still takes and releases locks when Python has cleared the names of this module.
        self._new_of_thread = threading.RLock
        self._at_fork_reinit()

    def _of_thread(self) -> Any:
        lock = getattr(self._of_threads, "lock", None)
        if lock is None:
            self._of_threads.depth = 0
            lock = self._of_threads.lock = self._new_of_thread()
        return lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for the lock, and return whether it is had, as locks of :mod:`threading` do."""
        lock = self._of_thread()
        if not lock.acquire(blocking, timeout):
            return False
        # Counted before: a finalizer or a handler of a signal may log in the middle of what
        # follows, and would wait for its own thread.
        self._of_threads.depth += 1
        if self._of_threads.depth > 1:
            return True
        is_acquired = False
        try:
            is_acquired = self._between_threads.acquire(blocking=False)
            is_acquired = is_acquired or self._wait_for_threads(blocking, timeout)
        finally:
            if not is_acquired:
                self._of_threads.depth -= 1
                lock.release()
        return is_acquired

    def release(self) -> None:
        """Release the lock."""
        lock = self._of_thread()
        if not lock._is_owned():
            self._former.release()
            return
        if self._of_threads.depth == 1:
            self._release_between_threads()
        self._of_threads.depth -= 1
        lock.release()

    def _wait_for_threads(self, blocking: bool, timeout: float) -> bool:
        hub = sys.modules["gevent._hub_local"].get_hub_if_exists()
        is_main = hub is not None and hub.main_hub and sys.modules["gevent"].getcurrent() is not hub
        if not is_main or not blocking or timeout >= 0:
            return self._between_threads.acquire(blocking, timeout)
        signal = new_signal()
        self._main_waits.append(signal)
        try:
            if self._between_threads.acquire(blocking=False):  # released meanwhile
                self._release_between_threads()
            signal.wait()
        except BaseException:
            try:
                self._main_waits.remove(signal)
            except ValueError:  # it has been handed on
                self._release_between_threads()
            raise
        return True

    def _release_between_threads(self) -> None:
        while True:
            try:
                self._main_waits.popleft().set()
                return  # and it is not released, but handed on
            except IndexError:
                pass
            self._between_threads.release()
            # The main thread may have come to wait meanwhile.
            if not self._main_waits or not self._between_threads.acquire(blocking=False):
                return

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:  # also called by logging in a forked child
        self._of_threads = original("threading", "local")()
        self._between_threads = new_lock()
        self._main_waits: deque[Signal] = deque()


_are_shared = False


def share_logging_locks() -> None:
    """Give logging and its handlers, also those made later, locks for several threads.

    Call this before there is another thread. Without gevent's patch nothing happens.
    """
    global _are_shared
    if _are_shared or not is_patched():
        return
    _are_shared = True
    module: Any = logging
    module._lock = _shared(module._lock)
    # The list that logging keeps for forks. The one for the end of the process loses handlers that
    # are still in use when a configuration is read.
    for handler in list(module._at_fork_reinit_lock_weakset):
        handler.lock = _shared(handler.lock)
    create = logging.Handler.createLock

    @functools.wraps(create)
    def create_shared(self: logging.Handler) -> None:
        create(self)
        self.lock = _shared(self.lock)

    logging.Handler.createLock = create_shared  # type: ignore[method-assign]


def _shared(lock: Any) -> Any:
    """Return a lock for several threads in place of one of gevent's; others stay as they are."""
    return LoggingLock(lock) if type(lock) is type(threading.RLock()) else lock

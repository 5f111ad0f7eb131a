"""Locks of :mod:`logging` for greenlets of several threads.

One of gevent's locks that greenlets of several threads wait for is not always handed on: a call
that logs may then wait for ever, and its run with it.
"""

from __future__ import annotations

import functools
import logging
import threading
from typing import Any

from .gevent_patch import is_patched, new_lock, original


class LoggingLock:
    """A reentrant lock for greenlets of any number of threads.

    Greenlets of one thread wait for a lock of gevent's, which is theirs alone. The one that has it
    waits for those of other threads by a lock of the operating system.

    Args:
        former: the lock in whose place this one is. Greenlets that wait for it by then still get
            it, and release this one.
    """

    def __init__(self, former: Any) -> None:
        self._former = former
        self._of_threads = original("threading", "local")()
        self._between_threads = new_lock()

    def _of_thread(self) -> Any:
        lock = getattr(self._of_threads, "lock", None)
        if lock is None:
            lock = self._of_threads.lock = threading.RLock()
            self._of_threads.depth = 0
        return lock

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._of_thread().acquire()
        if not self._of_threads.depth:
            self._between_threads.acquire()
        self._of_threads.depth += 1
        return True

    def release(self) -> None:
        """Release the lock."""
        lock = self._of_thread()
        if not lock._is_owned():
            self._former.release()
            return
        self._of_threads.depth -= 1
        if not self._of_threads.depth:
            self._between_threads.release()
        lock.release()

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:  # called by logging in a forked child
        self.__init__(self._former)  # type: ignore[misc]


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
    for reference in list(module._handlerList):
        handler = reference()
        if handler is not None:
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

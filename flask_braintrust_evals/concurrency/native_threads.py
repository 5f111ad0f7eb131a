"""An executor whose threads are the operating system's, also where gevent has patched."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty
from typing import ParamSpec, TypeVar
from weakref import WeakSet

from .gevent_patch import is_patched, original, start_real_thread

P = ParamSpec("P")
T = TypeVar("T")

MOST_BLOCKING = 40
"""Functions of blocking evaluators that run at a time in a process."""
PATIENCE = 1.0
"""Seconds that the process's end waits for functions that are running."""
IDLE_SECONDS = 30.0
"""Seconds without work after which a thread ends."""


_all: WeakSet[NativeThreads] = WeakSet()


class NativeThreads(Executor):
    """Runs functions in up to ``limit`` real threads, which are started as they are needed.

    Args:
        limit: how many functions run at a time; others wait for their turn.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # None of these is gevent's: they belong to threads that have no greenlets to give way to.
        self._lock = original("_thread", "allocate_lock")()
        self._jobs = original("queue", "SimpleQueue")()
        self._threads = 0
        _all.add(self)
        self._unfinished = 0  # functions that wait for a thread or run in one

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``fn`` called in one of the threads; see :meth:`concurrent.futures.Executor.submit`.

        Raises:
            RuntimeError: the system has no more threads, and none of ours is there.
        """
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        with self._lock:
            self._unfinished += 1
            is_wanted = self._threads < min(self._unfinished, self._limit)
            self._threads += is_wanted
        if is_wanted:
            self._start()
        self._jobs.put(job)
        return future

    def _start(self) -> None:
        try:
            start_real_thread(self._work)
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                alone = self._threads == 0
                self._unfinished -= alone
            if alone:
                raise

    def _work(self) -> None:
        while self._work_once():
            pass
        if is_patched():
            # Whatever has waited in this thread has made a hub for it.
            sys.modules["gevent"].get_hub().destroy(destroy_loop=True)
        with self._lock:
            self._threads -= 1

    def _work_once(self) -> bool:
        try:
            job = self._jobs.get(timeout=IDLE_SECONDS)
        except Empty:
            with self._lock:
                return self._unfinished >= self._threads
        if job is None:
            return False
        job()
        del job  # with what it was given, and what came of it
        with self._lock:
            self._unfinished -= 1
        return True

    def close(self, patience: float = 0.0) -> None:
        """Have the threads end once they are idle, and wait for that, at most ``patience`` seconds.

        A thread that is left to the interpreter's own end, with what gevent has made for it, may
        break that end.
        """
        for _ in range(self._threads):
            self._jobs.put(None)
        deadline = time.monotonic() + patience
        while self._threads and time.monotonic() < deadline:
            original("time", "sleep")(0.001)


@atexit.register
def _close_all() -> None:
    for each in list(_all):
        each.close(PATIENCE)


_real_threads: NativeThreads | None = None


def real_threads() -> NativeThreads:
    """Return the process's threads for code that blocks."""
    global _real_threads
    if _real_threads is None:
        _real_threads = NativeThreads(MOST_BLOCKING)
    return _real_threads


def _forget() -> None:
    global _real_threads
    _real_threads = None
    _all.clear()


# A forked child has the objects but not the threads behind them.
os.register_at_fork(after_in_child=_forget)

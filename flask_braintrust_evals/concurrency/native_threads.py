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

MAX_BLOCKING = 40
"""Functions of blocking evaluators that run at a time in one process."""
EXIT_TIMEOUT = 1.0
"""Seconds that the end of the process waits for functions that are running."""
IDLE_SECONDS = 30.0
"""Seconds without work after which a thread ends."""


_all: WeakSet[NativeThreads] = WeakSet()


class NativeThreads(Executor):
    """Runs functions in up to ``limit`` real threads, which are started as they are needed.

    Args:
        limit: how many functions run at a time; others wait in a queue.
        idle_seconds: seconds without work after which a thread ends.
    """

    def __init__(self, limit: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._limit = limit
        self._idle_seconds = idle_seconds
        # None of these is gevent's: they belong to threads that have no other greenlets to run.
        self._lock = original("_thread", "allocate_lock")()
        self._jobs = original("queue", "SimpleQueue")()
        self._unfinished = 0  # functions that wait for a thread or run in one
        self._accepting = 0  # threads that take functions; one that has decided to end does not
        self._alive = 0  # threads that have not ended
        _all.add(self)

    @property
    def thread_count(self) -> int:
        """The number of threads that have not ended."""
        return self._alive

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``fn`` called in one of the threads; see :meth:`concurrent.futures.Executor.submit`.

        Raises:
            RuntimeError: the system has no more threads, and this executor has none.
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
            is_wanted = self._accepting < min(self._unfinished, self._limit)
            self._accepting += is_wanted
            self._alive += is_wanted
        if is_wanted:
            self._start()
        self._jobs.put(job)
        return future

    def _start(self) -> None:
        try:
            start_real_thread(self._work)
        except RuntimeError:
            with self._lock:
                self._accepting -= 1
                self._alive -= 1
                alone = self._accepting == 0
                self._unfinished -= alone
            if alone:
                raise

    def _work(self) -> None:
        while self._work_once():
            pass
        if is_patched():
            # Whatever has waited in this thread has made a gevent hub for it.
            sys.modules["gevent"].get_hub().destroy(destroy_loop=True)
        with self._lock:
            self._alive -= 1

    def _work_once(self) -> bool:
        """Run the next function; return whether the thread goes on."""
        try:
            job = self._jobs.get(timeout=self._idle_seconds)
        except Empty:
            return not self._decide_to_end()
        if job is None:
            with self._lock:
                self._accepting -= 1
            return False
        job()
        del job  # with its arguments and its result
        with self._lock:
            self._unfinished -= 1
        return True

    def _decide_to_end(self) -> bool:
        """Return whether the calling thread is not needed; it then no longer counts as accepting.

        Both in one step: a function that is submitted in between would wait for this thread.
        """
        with self._lock:
            if self._unfinished >= self._accepting:
                return False
            self._accepting -= 1
            return True

    def close(self, timeout: float = 0.0) -> None:
        """Have the threads end once they are idle, and wait for that, at most ``timeout`` seconds.

        A thread that still runs when the interpreter ends, with the gevent hub that was made for
        it, may crash the interpreter.
        """
        for _ in range(self._accepting):
            self._jobs.put(None)
        deadline = time.monotonic() + timeout
        while self._alive and time.monotonic() < deadline:
            original("time", "sleep")(0.001)


@atexit.register
def _close_all() -> None:
    for each in list(_all):
        each.close(EXIT_TIMEOUT)


_blocking_threads: NativeThreads | None = None


def blocking_threads() -> NativeThreads:
    """Return the threads of this process for code that blocks."""
    global _blocking_threads
    if _blocking_threads is None:
        _blocking_threads = NativeThreads(MAX_BLOCKING)
    return _blocking_threads


def _forget() -> None:
    global _blocking_threads
    _blocking_threads = None
    _all.clear()


# A forked child has the objects but not the threads behind them.
os.register_at_fork(after_in_child=_forget)

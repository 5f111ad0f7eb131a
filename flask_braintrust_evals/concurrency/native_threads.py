"""An executor whose threads are the operating system's, also where gevent has patched."""

from __future__ import annotations

import atexit
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty
from typing import ParamSpec, TypeVar
from weakref import WeakSet

from flask_braintrust_evals.concurrency.processes import child_processes

from .gevent_patch import original
from .owner_queue import OwnerQueue
from .real_threads import let_hub_run, start_real_thread

logger = logging.getLogger("flask_braintrust_evals")

P = ParamSpec("P")
T = TypeVar("T")

MAX_BLOCKING = 40
"""Functions of blocking evaluators that run at a time in one process."""
EXIT_TIMEOUT = 1.0
"""Seconds that the end of the process waits for functions that are running."""
IDLE_SECONDS = 30.0
"""Seconds without work after which a thread ends."""
HUB_SECONDS = 0.05
"""Seconds without work after which a thread that has a hub of gevent's lets it run again."""

_all: WeakSet[NativeThreads] = WeakSet()


class CallState(Enum):
    """The state of a call."""

    WAITING = "waiting"
    CANCELLED = "cancelled"
    """It was cancelled before it began, and is never made."""
    RUNNING = "running"
    GIVEN_UP = "given up"
    """It runs, but nobody waits for it, and its thread no longer counts."""
    DONE = "done"


@dataclass(eq=False, slots=True)
class NativeCall:
    """A function that is to be called in a real thread. Start it with :meth:`NativeThreads.start`.

    Args:
        work: the function, which raises nothing.
        owner: those of one owner are called in their order. Owners take turns.
    """

    work: Callable[[], None]
    owner: object = None
    state: CallState = field(default=CallState.WAITING, init=False)


class NativeThreads(Executor):
    """Calls functions in up to ``limit`` real threads, which are started as they are needed.

    Threads of calls that were given up do not count, up to as many again; further ones as soon as
    one of those ends.

    Args:
        limit: how many functions run at a time; others wait, and their owners take turns.
        idle_seconds: seconds without work after which a thread ends.
    """

    def __init__(self, limit: int, idle_seconds: float = IDLE_SECONDS) -> None:
        self._limit = limit
        self._idle_seconds = idle_seconds
        # None of these is gevent's: a thread waits for them without its hub.
        self._lock = original("_thread", "allocate_lock")()
        self._signals = original("queue", "SimpleQueue")()  # at least one for each waiting call
        self._waiting: OwnerQueue[NativeCall] = OwnerQueue()
        self._unfinished = 0  # calls that wait for a thread or run in one
        self._accepting = 0  # threads that take calls; one that has decided to end does not
        self._alive = 0  # threads that have not ended
        self._given_up = 0  # threads whose call was given up
        self._to_give_up: set[NativeCall] = set()  # as soon as there may be one more of them
        _all.add(self)

    @property
    def thread_count(self) -> int:
        """The number of threads that have not ended."""
        return self._alive

    @property
    def given_up(self) -> int:
        """The number of threads whose call was given up, and has not ended."""
        return self._given_up

    @property
    def all_hang(self) -> bool:
        """Whether no call can begin before one ends that nobody waits for."""
        return len(self._to_give_up) >= self._limit

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``fn`` called in one of the threads; see :meth:`concurrent.futures.Executor.submit`.

        Raises:
            RuntimeError: the system has no more threads, and this executor has none.
        """
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        self.start(NativeCall(work))
        return future

    def start(self, call: NativeCall) -> None:
        """Make a call as soon as there is a thread and its owner has the turn.

        Raises:
            RuntimeError: the system has no more threads, and this executor has none.
        """
        with self._lock:
            self._waiting.put(call.owner, call)
            self._unfinished += 1
            is_wanted = self._count_accepting()
            self._alive += is_wanted
        if is_wanted and not self._start_thread() and not self._accepting and self.cancel(call):
            raise RuntimeError("can't start new thread")
        self._signals.put(True)

    def cancel(self, call: NativeCall) -> bool:
        """Do not make a call, if it has not begun; return whether it had not."""
        with self._lock:
            if call.state is not CallState.WAITING:
                return False
            call.state = CallState.CANCELLED
            self._waiting.remove(call.owner, call)
            self._unfinished -= 1
            return True

    def give_up(self, call: NativeCall) -> bool:
        """Have another thread in place of the one in which a call runs; return whether there is.

        False: the call does not run, or there are as many such threads as are allowed. It is then
        given up when a call in one of them ends. May be called again.
        """
        with self._lock:
            if call.state is not CallState.RUNNING:
                return call.state is CallState.GIVEN_UP
            if self._given_up >= self._limit:
                self._to_give_up.add(call)
                return False
            self._note_given_up(call)
            is_wanted = self._count_accepting()
            self._alive += is_wanted
        if is_wanted:
            self._start_thread()
        return True

    def _note_given_up(self, call: NativeCall) -> None:
        call.state = CallState.GIVEN_UP
        self._given_up += 1
        self._accepting -= 1
        self._unfinished -= 1

    def _count_accepting(self) -> bool:
        """Count one more thread that takes calls, if one is needed and allowed; return if it is."""
        is_needed = self._accepting < min(self._unfinished, self._limit)
        self._accepting += is_needed
        return is_needed

    def _start_thread(self) -> bool:
        """Start a thread that is counted already; return whether the system had one."""
        child_processes.prepare()
        try:
            start_real_thread(self._work)
            return True
        except RuntimeError:
            with self._lock:
                self._accepting -= 1
                self._alive -= 1
            return False

    def _work(self) -> None:
        child_processes.enter_thread()
        try:
            while self._work_once():
                pass
        finally:
            child_processes.leave_thread()
            with self._lock:
                self._alive -= 1

    def _work_once(self) -> bool:
        """Make the next call; return whether the thread goes on."""
        try:
            signal = self._next_signal()
        except Empty:
            return not self._decide_to_end()
        if signal is None:
            with self._lock:
                self._accepting -= 1
            return False
        call = self._next()
        if call is None:  # the one that the signal was for was cancelled
            return True
        try:
            call.work()
        except BaseException:
            logger.exception("a call in a real thread failed")
        return self._finish(call)

    def _next_signal(self) -> bool | None:
        deadline = time.monotonic() + self._idle_seconds
        while True:
            has_hub = let_hub_run()
            left = max(0.0, deadline - time.monotonic())
            try:
                seconds = min(left, HUB_SECONDS) if has_hub else left
                signal: bool | None = self._signals.get(timeout=seconds)
                return signal
            except Empty:
                if time.monotonic() >= deadline:
                    raise

    def _next(self) -> NativeCall | None:
        with self._lock:
            call = self._waiting.take()
            if call is not None:
                call.state = CallState.RUNNING
            return call

    def _finish(self, call: NativeCall) -> bool:
        """Note the end of a call; return whether its thread is still needed."""
        with self._lock:
            was_given_up = call.state is CallState.GIVEN_UP
            call.state = CallState.DONE
            call.work = lambda: None  # the function may have large arguments
            if not was_given_up:
                self._to_give_up.discard(call)
                self._unfinished -= 1
                return True
            self._given_up -= 1
            if self._to_give_up:
                self._note_given_up(self._to_give_up.pop())
            return self._count_accepting()

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
            self._signals.put(None)
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


def blocking_calls_hang() -> bool:
    """Return whether code that blocks can run in this process only when other such code ends."""
    return _blocking_threads is not None and _blocking_threads.all_hang


def _forget() -> None:
    global _blocking_threads
    _blocking_threads = None
    _all.clear()


# A forked child has the objects but not the threads behind them.
os.register_at_fork(after_in_child=_forget)

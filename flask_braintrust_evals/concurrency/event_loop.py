"""One event loop, in a real thread, for all coroutines of the process.

Several greenlets of one thread cannot each run an event loop (asyncio refuses the second), and a
loop must not run on the thread that serves requests. So coroutines of tasks and scorers run here,
while the worker that needs their result waits.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

from .cancellation import Cancellation
from .gevent_patch import MAX_WAIT, is_patched, new_event, real_thread_id, start_real_thread
from .job import DeadlineError, Job
from .native_threads import NativeThreads

logger = logging.getLogger("flask_braintrust_evals")


MAX_THREADS = 32
"""Functions of ``asyncio.to_thread`` and ``run_in_executor`` that run at a time."""


class _Loop(asyncio.SelectorEventLoop):
    """A loop that runs functions in real threads, whatever executor they are submitted to.

    Under gevent the threads of a ``ThreadPoolExecutor`` are greenlets. Those that a coroutine
    starts would run on the loop's own thread and stop the loop, and gevent's queues break when
    greenlets of two threads use the same one.
    """

    owns_its_thread = True  # greenlet_loops need not track it: no other greenlet runs a loop there

    def __init__(self) -> None:
        super().__init__()
        self._threads = NativeThreads(MAX_THREADS)
        self._in_place_of: WeakKeyDictionary[Any, NativeThreads] = WeakKeyDictionary()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        if executor is None:
            executor = self._threads
        elif is_patched() and isinstance(executor, ThreadPoolExecutor):
            executor = self._in_place_of.setdefault(
                executor, NativeThreads(getattr(executor, "_max_workers", MAX_THREADS))
            )
        # So that spans of the function belong to the same case. asyncio.to_thread does so itself.
        context = contextvars.copy_context()
        return super().run_in_executor(executor, functools.partial(context.run, func), *args)


class BackgroundLoop:
    """An event loop that runs until the process ends."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._thread: int | None = None
        self._ready = new_event()
        start_real_thread(self._serve)

    def run(
        self,
        awaitable: Awaitable[Any],
        cancellation: Cancellation,
        job: Job[Any] | None = None,
        deadline: float | None = None,
    ) -> Any:
        """Await ``awaitable`` on the loop, in a copy of the caller's context, and wait for it.

        Args:
            awaitable: a coroutine, or anything else that ``await`` takes.
            cancellation: cancels it when set.
            job: receives what the coroutine posts while it runs.
            deadline: when to cancel it and stop waiting, by ``time.monotonic()``.

        Returns:
            what the awaitable returns; raises what it raises, ``asyncio.CancelledError`` included.

        Raises:
            DeadlineError: the deadline has passed.
            RuntimeError: the caller runs on the loop itself, and would wait forever.
        """
        job = Job() if job is None else job
        self.start(awaitable, cancellation, job)
        with cancellation.calling(job.cancel):
            try:
                return job.wait(deadline)
            except DeadlineError:
                job.cancel()
                raise

    def start(self, awaitable: Awaitable[Any], cancellation: Cancellation, job: Job[Any]) -> None:
        """Await ``awaitable`` on the loop, in a copy of the caller's context, without waiting.

        Args:
            awaitable: a coroutine, or anything else that ``await`` takes.
            cancellation: if it is set by the time the loop comes to the awaitable, that is
                cancelled at once. Later, ``job.cancel()`` does that.
            job: gets the result.

        Raises:
            RuntimeError: the caller runs on the loop itself, and would wait forever.
        """
        if self.is_current():
            raise RuntimeError(
                "a coroutine cannot wait here for another one on the same event loop; call"
                " Evaluator.run from a plain function instead of a coroutine"
            )
        context = contextvars.copy_context()
        tasks: list[asyncio.Task[None]] = []

        async def settle() -> None:
            try:
                result = await awaitable
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                # Not raised here: asyncio lets SystemExit and KeyboardInterrupt end the loop.
                job.fail(error)
            else:
                job.succeed(result)

        def begin() -> None:
            # A task copies the context it is created in (the argument for that came with 3.11).
            task = context.run(self._loop.create_task, settle())
            tasks.append(task)
            if cancellation.is_set():
                task.cancel()
            if inspect.iscoroutine(awaitable):
                # Without this, asyncio warns of one that was cancelled before it began.
                task.add_done_callback(lambda _: awaitable.close())
            task.add_done_callback(finish)

        def finish(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                job.fail(asyncio.CancelledError())

        def cancel() -> None:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])

        while not self._ready.is_set():
            self._ready.wait(MAX_WAIT)
        job.when_cancelled(cancel)
        self._loop.call_soon_threadsafe(begin)

    def is_current(self) -> bool:
        """Return whether the caller runs on the loop's thread."""
        return self._thread == real_thread_id()

    def _serve(self) -> None:
        # Made here: under gevent, a loop's selector belongs to the hub of the thread it is made in.
        self._loop = _Loop()
        asyncio.set_event_loop(self._loop)
        self._thread = real_thread_id()
        self._ready.set()
        while True:
            try:
                self._loop.run_forever()
            except BaseException:
                logger.exception("a callback that a task left on the event loop failed")


_current: BackgroundLoop | None = None
_lock = threading.Lock()


def background_loop() -> BackgroundLoop:
    """Return the loop of this process, started by the first call."""
    global _current
    if is_patched():
        # Two hubs that are made at the same time, here and on the loop's thread, deadlock.
        sys.modules["gevent"].get_hub()
    # Nothing inside switches greenlets: under --preload this lock is not gevent's.
    with _lock:
        if _current is None:
            _current = BackgroundLoop()
        return _current


def _forget() -> None:
    global _current, _lock
    _current, _lock = None, threading.Lock()


# A forked child has the loop's memory but not its thread.
os.register_at_fork(after_in_child=_forget)

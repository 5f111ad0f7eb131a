"""An event loop for a thread of the operating system, also where gevent has patched."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.held_scope import holding
from flask_braintrust_evals.concurrency.native_threads import NativeThreads

from .hub_selector import HubSelector

MAX_THREADS = 32
"""Functions of ``asyncio.to_thread`` and ``run_in_executor`` that run at a time."""


class ThreadLoop(asyncio.SelectorEventLoop):
    """A loop that runs functions in real threads, whatever executor they are submitted to.

    Under gevent the threads of a ``ThreadPoolExecutor`` are greenlets. Those that a coroutine
    starts would run on the loop's own thread and stop the loop, and gevent's queues break when
    greenlets of two threads use the same one.
    """

    def __init__(self) -> None:
        self._hub_selector = HubSelector() if is_patched() else None
        try:
            super().__init__(self._hub_selector)
        except BaseException:
            vars(self)["_closed"] = True  # it has nothing else that could be closed
            if self._hub_selector is not None:
                self._hub_selector.close()
            raise
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
        elif not _runs_here(executor):  # no context can be sent elsewhere
            return super().run_in_executor(executor, func, *args)
        # So that spans of the function belong to the same case. asyncio.to_thread does so itself.
        context = contextvars.copy_context()
        call = functools.partial(func, *args)
        # It goes on when the coroutine is cancelled. What a case has left on the loop, such as a
        # pool of connections, still has its context when its scope has long been exited.
        held = holding(call, call)
        return super().run_in_executor(executor, context.run, held)

    def _write_to_self(self) -> None:
        # asyncio's way to have a subclass wake the loop; called on any thread.
        if self._hub_selector is None:
            super()._write_to_self()  # type: ignore[misc]
        elif not self.is_closed():
            self._hub_selector.wake()

    def close(self) -> None:
        """Close the loop, and have its threads end."""
        try:
            super().close()
        finally:
            vars(self)["_closed"] = True  # also if descriptors of it are gone
        if vars(self).get("_threads") is not None:
            self._threads.close()


def _runs_here(executor: Any) -> bool:
    """Return whether an executor runs functions in threads, and in this interpreter."""
    interpreters = sys.modules.get("concurrent.futures.interpreter")  # Python 3.14 and later
    elsewhere = getattr(interpreters, "InterpreterPoolExecutor", ())
    return isinstance(executor, ThreadPoolExecutor) and not isinstance(executor, elsewhere)

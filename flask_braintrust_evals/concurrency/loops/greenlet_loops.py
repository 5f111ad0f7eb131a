"""Event loops in greenlets: lets each greenlet run its own, though all share one thread.

asyncio keeps the running loop once per thread, so that of several greenlets only one could call
``asyncio.run``: the others fail with "cannot be called from a running event loop". Tasks of users
do that, by themselves or inside of libraries (``anyio.run``, ``async_to_sync``, ``run_sync``).

After :func:`install`, the running loop belongs to the greenlet. While at least one greenlet of a
thread runs a loop, greenlet's trace function sets asyncio's running loop at each switch; otherwise
nothing is traced, so that code without event loops pays nothing. Python's hooks for asynchronous
generators, by which a loop that ends closes those that are its own, are once per thread, too, and
are set with it. So is the task whose coroutine runs, from Python 3.14 on.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import sys
import threading
from collections.abc import Callable
from typing import Any

from flask_braintrust_evals.concurrency.gevent_patch import is_patched, original

_swap_task: Any = getattr(asyncio.tasks, "_swap_current_task", None)
_TASK_IS_PER_THREAD = sys.version_info >= (3, 14)

SetRunningLoop = Callable[[asyncio.AbstractEventLoop | None], None]


class GreenletLoops:
    """The running loops of the greenlets of this process.

    Args:
        set_running_loop: asyncio's own function, which sets the loop of the thread.
    """

    def __init__(self, set_running_loop: SetRunningLoop) -> None:
        self._set_running_loop = set_running_loop
        self._of_thread: Any = original("_thread", "_local")()
        self._greenlet = sys.modules["greenlet"]

    def set_running_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the running loop of this greenlet; takes the place of asyncio's function."""
        self._set_running_loop(loop)
        loops: dict[Any, Any] = self._of_thread.__dict__.setdefault("loops", {})
        if loop is not None:
            loops[self._greenlet.getcurrent()] = loop
            if len(loops) == 1:
                self._start_tracing(loops)
        elif (ended := loops.pop(self._greenlet.getcurrent(), None)) is not None:
            if not loops:
                self._greenlet.settrace(self._of_thread.traced_before)
            _stop_watching(ended)

    def forget(self) -> None:
        """Forget all loops, in a forked child, and what sets them at switches."""
        of_thread = self._of_thread.__dict__
        if of_thread.get("loops"):
            self._greenlet.settrace(of_thread["traced_before"])
        of_thread.clear()

    def _start_tracing(self, loops: dict[Any, Any]) -> None:
        before = self._of_thread.traced_before = self._greenlet.gettrace()
        set_running_loop = self._set_running_loop
        tasks: dict[Any, asyncio.Task[Any]] = {}
        generator_hooks: dict[Any, Any] = {}

        def trace(event: str, arguments: Any) -> None:
            if event in ("switch", "throw"):
                left, entered = arguments
                if left in loops:
                    generator_hooks[left] = sys.get_asyncgen_hooks()
                sys.set_asyncgen_hooks(*generator_hooks.pop(entered, (None, None)))
                if _TASK_IS_PER_THREAD and left in loops:
                    task = _swap_task(loops[left], None)
                    if task is not None:
                        tasks[left] = task
                set_running_loop(loops.get(entered))
                if entered in tasks:
                    _swap_task(loops[entered], tasks.pop(entered))
            if before is not None:
                before(event, arguments)

        self._greenlet.settrace(trace)


def _stop_watching(loop: asyncio.AbstractEventLoop) -> None:
    """Have gevent's hub forget a loop that does not run, until it runs again.

    The hub keeps what watches for it, and so every loop that is left open, as libraries do that
    have one per thread. Each has several file descriptors, of which a process has only so many.
    """
    selector: Any = getattr(loop, "_selector", None)
    of_gevent: Any = getattr(sys.modules.get("gevent.selectors"), "GeventSelector", ())
    if isinstance(selector, of_gevent):
        for key in list(selector.get_map().values()):
            selector.unregister(key.fileobj)
            try:  # it is watched from the next select() on
                selector.register(key.fileobj, key.events, key.data)
            except ValueError:  # its descriptor has been closed, and the key has no watcher
                selectors._BaseSelectorImpl.unregister(selector, key.fileobj)


_installed: GreenletLoops | None = None


def install() -> None:
    """Make asyncio's running loop, and its current one, those of the greenlet, under gevent.

    May be called again. For the whole process, since libraries call asyncio's functions directly.
    """
    global _installed
    if _installed is not None or not is_patched():
        return
    _installed = GreenletLoops(asyncio._set_running_loop)
    # Where loops look it up (asyncio's and nest_asyncio's, and those that import it from asyncio).
    asyncio.events._set_running_loop = _installed.set_running_loop
    asyncio._set_running_loop = _installed.set_running_loop
    _separate_current_loops()


def _separate_current_loops() -> None:
    """Keep what ``asyncio.set_event_loop`` sets per greenlet.

    It is kept in a ``threading.local``, which is per greenlet only if gevent patched before asyncio
    was imported. gunicorn imports asyncio first.
    """
    # The public function warns from Python 3.14 on.
    get_policy = getattr(asyncio.events, "_get_event_loop_policy", asyncio.get_event_loop_policy)
    policy = get_policy()
    before = getattr(policy, "_local", None)
    if before is None or isinstance(before, threading.local):
        return

    class Local(threading.local):
        _loop = getattr(before, "_loop", None)
        _set_called = getattr(before, "_set_called", False)

    vars(policy)["_local"] = Local()


def _forget() -> None:
    """Forget loops of greenlets that a forked child does not run."""
    if _installed is not None:
        _installed.forget()


os.register_at_fork(after_in_child=_forget)

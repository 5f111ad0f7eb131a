"""Lets user code in real threads start programs where gevent has patched.

gevent can watch the children of a process from its main thread alone. In every other thread its
``Popen`` forks, and then raises ``TypeError: child watchers are only available on the default
loop``, while the program runs without anybody who waits for it; and its ``os.waitpid`` uses the
main thread's loop from the thread that calls it (gevent 26.9). Coroutines, and the functions of
blocking evaluators, run in such threads, and start programs without knowing it: ``platform`` asks
``uname``, which several clients of models put into their requests.

Here, such a thread has the main one start the program, or wait for it. Threads that are not of this
package are left to gevent.

gevent also waits for each child as soon as it ends, and keeps its status for ``os.waitpid``. From
Python 3.12 on, asyncio first asks for a file descriptor of the child, which by then may be gone.
And gevent's ``os.close`` takes a file descriptor for one that is closed twice, if another thread
has just closed one of the same number.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Container
from typing import Any, ParamSpec, TypeVar

from .gevent_patch import is_patched, new_lock, original, release_hub
from .job import Job

P = ParamSpec("P")
T = TypeVar("T")

IN_MAIN_THREAD = ("waitpid", "posix_spawn", "posix_spawnp", "_spawnvef")
"""Functions of :mod:`os`. All of ``os.spawnl`` to ``os.spawnvpe`` call the last one."""

_main_hub: Any = None
_thread = original("_thread", "_local")()  # its attributes are those of the calling thread
_prepares = new_lock()
_is_prepared = False


def prepare() -> None:
    """Make ready for threads that start programs: called by whoever starts such a thread."""
    global _main_hub, _is_prepared
    if not is_patched():
        return
    hub = sys.modules["gevent"].get_hub()
    if hub.main_hub:
        _main_hub = hub
    with _prepares:
        if _is_prepared or "subprocess" not in sys.modules["gevent.monkey"].saved:
            return
        _is_prepared = True
        popen = sys.modules["gevent.subprocess"].Popen
        popen._execute_child = _starting_in_main_thread(popen._execute_child)
        for name in IN_MAIN_THREAD:
            if hasattr(os, name):
                setattr(os, name, _calling_in_main_thread(getattr(os, name)))
        if hasattr(os, "pidfd_open"):  # of Linux
            os.pidfd_open = _opening_for_ended_children(os.pidfd_open)
        os.close = _closing_at_once(os.close)


def enter_thread() -> None:
    """Note that the calling thread is one of this package, from its first line on."""
    if is_patched():
        _thread.is_ours = True


def is_in_our_thread() -> bool:
    """Return whether the calling thread is a real one of this package, under gevent."""
    return getattr(_thread, "is_ours", False)


def leave_thread() -> None:
    """Release what the calling thread has for gevent: called as its last line."""
    if not is_patched():
        return
    keeper = getattr(_thread, "keeper", None)
    if keeper is not None:
        keeper.stop()
        keeper.close()
    vars(_thread).clear()
    release_hub()  # not only when the thread ends: others may wait for what follows


def _starting_in_main_thread(execute: Callable[..., None]) -> Callable[..., None]:
    def execute_child(popen: Any, *args: Any, **kwargs: Any) -> None:
        if not _must_ask_main_thread():
            return execute(popen, *args, **kwargs)
        _keep_hub_waiting()
        popen._loop = _main_hub.loop
        return _in_main_thread(lambda: execute(popen, *args, **kwargs))

    return execute_child


def _calling_in_main_thread(function: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _must_ask_main_thread():
            return function(*args, **kwargs)
        return _in_main_thread(lambda: function(*args, **kwargs))

    return call


def _opening_for_ended_children(open_pidfd: Callable[[int, int], int]) -> Any:
    def pidfd_open(pid: int, flags: int = 0) -> int:
        try:
            return open_pidfd(pid, flags)
        except ProcessLookupError:
            if not _must_ask_main_thread() or pid not in _children_of_gevent():
                raise
        # Readable at once, as that of a child that has just ended.
        ended, other_end = os.pipe()
        os.close(other_end)
        return ended

    return pidfd_open


def _closing_at_once(close: Callable[[int], None]) -> Any:
    close_at_once = original("os", "close")

    def close_descriptor(fd: int) -> None:
        (close_at_once if _must_ask_main_thread() else close)(fd)

    return close_descriptor


def _children_of_gevent() -> Container[int]:
    """Return the ids of the children whose status gevent has, or will have."""
    children: Container[int] = getattr(sys.modules["gevent.os"], "_watched_children", ())
    return children


def _must_ask_main_thread() -> bool:
    return _main_hub is not None and is_in_our_thread()


def _in_main_thread(function: Callable[[], T]) -> T:
    """Call a function in a greenlet of the main thread, and wait for it."""
    job: Job[T] = Job()
    spawn = sys.modules["gevent"].spawn
    _main_hub.loop.run_callback_threadsafe(spawn, job.run, function)
    return job.wait()


def _keep_hub_waiting() -> None:
    """Have the thread's hub wait as long as it must for what the main thread says.

    A hub that has nothing of its own to wait for takes itself for deadlocked.
    """
    if getattr(_thread, "keeper", None) is None:
        _thread.keeper = sys.modules["gevent"].get_hub().loop.async_()
        _thread.keeper.start(lambda: None)


def _forget() -> None:
    # The thread that has forked is the main one of the child, and its hub is asked for again.
    global _main_hub
    _main_hub = None


os.register_at_fork(after_in_child=_forget)

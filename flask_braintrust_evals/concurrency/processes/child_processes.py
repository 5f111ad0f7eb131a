"""Starts programs where gevent has patched: without Python in the child, and from real threads.

gevent's ``Popen`` forks, and the child runs Python until it starts the program: also what libraries
have registered for after a fork. OpenTelemetry's SDK starts threads there, and while it waits for
them the child goes on with the greenlets of its parent, which fork again. The standard library's
own ``Popen`` forks in C. Here, gevent's has that start the program, and watches it.

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
import inspect
import os
import sys
from collections.abc import Callable, Container
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from flask_braintrust_evals.concurrency.gevent_patch import is_patched, new_lock, original
from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.real_threads import release_hub

P = ParamSpec("P")
T = TypeVar("T")

IN_MAIN_THREAD = ("waitpid", "posix_spawn", "posix_spawnp", "_spawnvef")
"""Functions of :mod:`os`. All of ``os.spawnl`` to ``os.spawnvpe`` call the last one."""

_main_hub: Any = None
_thread = original("_thread", "_local")()  # its attributes are those of the calling thread
_prepares = new_lock()
_is_prepared = False


def prepare() -> None:
    """Make ready for code that starts programs: called before it, and before its thread starts."""
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
        execute = _starting_without_python(popen._execute_child)
        popen._execute_child = _starting_in_main_thread(execute)
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


def _starting_without_python(execute: Callable[..., None]) -> Callable[..., None]:
    class Start(original("subprocess", "Popen")):  # type: ignore[misc]
        def __init__(self, devnull: int | None) -> None:
            self._devnull = devnull

        def __del__(self, *args: Any) -> None:
            pass  # gevent's waits for the child

    signature = inspect.signature(execute)
    _, *names = inspect.signature(Start._execute_child).parameters
    if not signature.parameters.keys() >= {*names}:  # both are private, and may change
        return execute
    # Taken away by gevent, for the standard library's own tests. The second is that of Python 3.10.
    module = sys.modules["subprocess"]
    for name in ("_fork_exec", "_posixsubprocess"):
        if getattr(module, name, module) is None:
            vars(module)[name] = original("subprocess", name)

    def execute_child(popen: Any, *args: Any, **kwargs: Any) -> None:
        values = signature.bind(popen, *args, **kwargs).arguments
        group = values.get("process_group")
        # Python 3.10 knows no process group, and gevent does.
        if values["preexec_fn"] is not None or group is not None and "process_group" not in names:
            return execute(popen, *args, **kwargs)
        if group is None:
            values["process_group"] = -1  # the standard library's word for none
        for own, inherited in (("p2cread", 0), ("c2pwrite", 1), ("errwrite", 2)):
            # gevent makes its pipes so, and another program may get one of them.
            with suppress(OSError):
                popen._remove_nonblock_flag(inherited if values[own] == -1 else values[own])
        if getattr(sys.modules["gevent.os"], "_closing_fd_to_event", None):
            # Closed only when the loop comes round, which may be by what the child does: it may
            # wait for the end of a pipe.
            sys.modules["gevent"].sleep(1e-5)
        start: Any = Start(getattr(popen, "_devnull", None))
        popen._loop.install_sigchld()  # a child may end before it is watched

        def fork() -> int:
            start._execute_child(**{name: values[name] for name in names})
            pid: int = start.pid
            return pid

        fork_and_watch = sys.modules["gevent.os"].fork_and_watch
        # Nothing in here may switch to other greenlets: gevent would miss the end of a child
        # that it does not watch. Nor may a pipe stay open for a while, since its end is waited for.
        _thread.closes_at_once = True
        try:
            popen.pid = fork_and_watch(popen._on_child, popen._loop, True, fork)
            popen._child_created = True
        finally:
            _thread.closes_at_once = False
            popen._closed_child_pipe_fds = getattr(start, "_closed_child_pipe_fds", False)

    return execute_child


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
        at_once = getattr(_thread, "closes_at_once", False) or _must_ask_main_thread()
        (close_at_once if at_once else close)(fd)

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

"""Threads of the operating system, also where gevent makes greenlets of Python's threads."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from .gevent_patch import is_patched, original
from .logging_locks import share_logging_locks

logger = logging.getLogger("flask_braintrust_evals")

EXIT_TIMEOUT = 1.0
"""Seconds that the end of the process waits for threads that release their hubs."""
END_SECONDS = 0.05
"""Seconds that it waits for all other threads: one that has nothing more to do may be about to
release its hub."""

# Those that run, and those that release their hubs. Changed by single operations only.
_running: set[object] = set()
_releasing: set[object] = set()


def start_real_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread of the operating system, also where gevent has patched.

    It is a daemon, and :mod:`threading` does not know it: nothing waits for it when the process
    ends. It is traced and profiled as a thread of :mod:`threading` is, as for coverage. What it has
    for gevent is released when it ends.
    """
    if is_patched():
        # Made here, where it does not exist yet: threads that make the first hubs of a process at
        # the same time may wait for each other for ever.
        sys.modules["gevent"].get_hub()
        share_logging_locks()
    original("_thread", "start_new_thread")(_run_traced, (work,))


def _run_traced(work: Callable[[], None]) -> None:
    trace, profile = threading.gettrace(), threading.getprofile()
    # A debugger may have set its own in this thread, and not in those of the module.
    if trace is not None:
        sys.settrace(trace)
    if profile is not None:
        sys.setprofile(profile)
    thread = object()
    _running.add(thread)
    try:
        work()
    finally:
        release_hub()
        _running.discard(thread)


def release_hub() -> None:
    """Release the hub of the calling thread, if it has one: whatever has waited there has made it.

    gevent never does, and each hub has two file descriptors.
    """
    hub = _own_hub()
    if hub is None:
        return
    _releasing.add(hub)
    try:
        _let_run()  # it hands on the locks that the thread has released
        hub.destroy(destroy_loop=True)
        if not hub.dead:
            # It has been left in the middle of its function, with a stack that keeps it in memory.
            hub.throw(sys.modules["greenlet"].GreenletExit)
    finally:
        _releasing.discard(hub)


def let_hub_run() -> bool:
    """Do what the calling thread's hub has to do by now; return whether the thread has a hub.

    Others wait for that: a lock of gevent's is handed on by the hub of the thread that releases it.
    """
    has_hub = _own_hub() is not None
    if has_hub:
        _let_run()
    return has_hub


def _own_hub() -> Any:
    """Return the hub of the calling thread; ``None``: it has none."""
    return sys.modules["gevent._hub_local"].get_hub_if_exists() if is_patched() else None


def _let_run() -> None:
    try:
        sys.modules["gevent"].sleep(0)
    except BaseException:  # of a greenlet that user code has left
        logger.exception("what a call has left in a real thread failed")


@atexit.register
def _wait_for_ends() -> None:
    # Python ends other threads wherever they are. Within a switch of greenlets, that crashes.
    # Modules that have threads register their own functions after this one, and so end them before
    # this is called.
    if not is_patched():
        return
    sleep, began = original("time", "sleep"), time.monotonic()
    for threads, seconds in ((_running, END_SECONDS), (_releasing, EXIT_TIMEOUT)):
        while threads and time.monotonic() < began + seconds:
            sleep(0.001)


def _forget() -> None:
    _running.clear()
    _releasing.clear()


# A forked child has none of its parent's threads.
os.register_at_fork(after_in_child=_forget)

"""Threads of the operating system, also where gevent makes greenlets of Python's threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from .gevent_patch import is_patched, original
from .logging_locks import share_logging_locks


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
    try:
        work()
    finally:
        release_hub()


def release_hub() -> None:
    """Release the hub of the calling thread, if it has one: whatever has waited there has made it.

    gevent never does, and each hub has two file descriptors.
    """
    hub = sys.modules["gevent._hub_local"].get_hub_if_exists() if is_patched() else None
    if hub is not None:
        hub.destroy(destroy_loop=True)
        if not hub.dead:
            # It has been left in the middle of its function, with a stack that keeps it in memory.
            hub.throw(sys.modules["greenlet"].GreenletExit)


def let_hub_run() -> bool:
    """Do what the calling thread's hub has to do by now; return whether the thread has a hub.

    Others wait for that: a lock of gevent's is handed on by the hub of the thread that releases it.
    """
    hub = sys.modules["gevent._hub_local"].get_hub_if_exists() if is_patched() else None
    if hub is not None:
        sys.modules["gevent"].sleep(0)
    return hub is not None

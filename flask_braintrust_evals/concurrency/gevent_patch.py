"""Threads, events and locks under gevent, which replaces the standard library's with its own.

Nearly everywhere the replacements are right, and nothing here is needed. These are the exceptions.
All of it is made when it is needed, never at import: with ``--preload`` the application is imported
before gunicorn's gevent worker patches the standard library, and what was made by then stays of the
unpatched kind. ``concurrent.futures.ThreadPoolExecutor`` is not used for the same reason: it starts
threads under a lock made at its import, which stops the whole process once two greenlets want it.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

MAX_WAIT = 60.0
"""Seconds to wait at a stretch. A gevent hub that waits for another thread, and has no timer of its
own, raises ``LoopExit`` because it takes the process for deadlocked."""


def is_patched() -> bool:
    """Return whether gevent has replaced the standard library's threads by greenlets."""
    global _is_patched
    # Asked several times for each case, and gevent never takes its patch back.
    if not _is_patched:
        monkey = sys.modules.get("gevent.monkey")
        _is_patched = monkey is not None and bool(monkey.is_module_patched("threading"))
    return _is_patched


_is_patched = False


def original(module: str, name: str) -> Any:
    """Return a part of the standard library as it was before gevent replaced it, if it did."""
    if is_patched():
        return sys.modules["gevent.monkey"].get_original(module, name)
    return getattr(__import__(module), name)


def new_event() -> threading.Event:
    """Return an event that wakes every thread and greenlet that waits for it.

    gevent's own does not: one that waits again, after a time-out, in the moment in which the event
    is set waits without a time-out from then on, and may be passed over, because gevent takes it
    for another one whose callback had the same ``id()`` (``_notify_link_list`` in its
    ``_abstract_linkable.py``, gevent 26.9). The standard library's event has a lock for each that
    waits; under gevent these locks are gevent's, so that waiting lets other greenlets run.
    """
    event: threading.Event = _event_class(is_patched())()
    return event


def set_event(event: threading.Event) -> None:
    """Set an event, also if the caller is interrupted meanwhile, which is raised afterwards.

    Setting waits for a lock of those that wait, where they are on other threads. A greenlet may be
    killed then, or have a time-out.
    """
    try:
        event.set()
    except BaseException:
        event.set()
        raise


@functools.cache  # asking gevent takes longer than making an event, and each run has several
def _event_class(patched: bool) -> Any:
    return original("threading", "Event")


def new_lock() -> threading.Lock:
    """Return a lock for code that neither waits nor calls user code while it holds the lock.

    It is the operating system's kind also under gevent, whose own takes ten times as long.
    """
    lock: threading.Lock = _original_lock()
    return lock


def start_thread(work: Callable[[], None], name: str) -> None:
    """Run ``work`` in a thread of its own, which is a greenlet where gevent has patched.

    It is a daemon: a task that never returns must not keep the process from ending.

    Raises:
        RuntimeError: the system has no more threads.
    """
    threading.Thread(target=work, name=name, daemon=True).start()


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
        _share_logging_locks()
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


def real_thread_id() -> int:
    """Return the id of the operating system's thread, which all of its greenlets share."""
    return int(_original_get_ident())


# Functions, of which those of the standard library stay what they are when gevent patches later.
_original_lock = original("threading", "Lock")
_original_get_ident = original("_thread", "get_ident")


class LoggingLock:
    """A reentrant lock for :mod:`logging`, for greenlets of any number of threads.

    One of gevent's locks that greenlets of several threads wait for is not always handed on: a call
    that logs may then wait for ever, and its run with it.

    Greenlets of one thread wait for a lock of gevent's, which is theirs alone. The one that has it
    waits for those of other threads by a lock of the operating system.

    Args:
        former: the lock in whose place this one is. Greenlets that wait for it by then still get
            it, and release this one.
    """

    def __init__(self, former: Any) -> None:
        self._former = former
        self._of_threads = original("threading", "local")()
        self._between_threads = new_lock()

    def _of_thread(self) -> Any:
        lock = getattr(self._of_threads, "lock", None)
        if lock is None:
            lock = self._of_threads.lock = threading.RLock()
            self._of_threads.depth = 0
        return lock

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._of_thread().acquire()
        if not self._of_threads.depth:
            self._between_threads.acquire()
        self._of_threads.depth += 1
        return True

    def release(self) -> None:
        """Release the lock."""
        lock = self._of_thread()
        if not lock._is_owned():
            self._former.release()
            return
        self._of_threads.depth -= 1
        if not self._of_threads.depth:
            self._between_threads.release()
        lock.release()

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:  # called by logging in a forked child
        self.__init__(self._former)  # type: ignore[misc]


_are_shared = False


def _share_logging_locks() -> None:
    """Give logging and its handlers, also those made later, locks for several threads.

    Call this before there is another thread. Without gevent's patch nothing happens.
    """
    global _are_shared
    if _are_shared or not is_patched():
        return
    _are_shared = True
    module: Any = logging
    module._lock = _shared(module._lock)
    for reference in list(module._handlerList):
        handler = reference()
        if handler is not None:
            handler.lock = _shared(handler.lock)
    create = logging.Handler.createLock

    @functools.wraps(create)
    def create_shared(self: logging.Handler) -> None:
        create(self)
        self.lock = _shared(self.lock)

    logging.Handler.createLock = create_shared  # type: ignore[method-assign]


def _shared(lock: Any) -> Any:
    """Return a lock for several threads in place of one of gevent's; others stay as they are."""
    return LoggingLock(lock) if type(lock) is type(threading.RLock()) else lock

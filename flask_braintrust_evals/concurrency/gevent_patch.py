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
from types import FunctionType
from typing import Any

logger = logging.getLogger("flask_braintrust_evals")

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

    It is the operating system's kind also under gevent, whose own takes ten times as long. A
    garbage collection may call user code, such as a ``__del__`` that lets other greenlets run:
    while such a lock is held, few objects are made, if any.
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


def spawn(work: Callable[[], None], name: str) -> None:
    """Run ``work`` as :func:`start_thread` does, but perhaps not at once, and in less time.

    Under gevent that is a greenlet without a ``threading.Thread``, whose start takes three times as
    long. Where something else has a part in the start of threads, it is a ``Thread`` there, too.

    Args:
        work: what to run. An exception that it raises is logged.
        name: the name of the thread or the greenlet.

    Raises:
        RuntimeError: the system has no more threads.
    """
    logged = functools.partial(_run_and_log, work)
    if not is_patched() or _are_threads_watched():
        start_thread(logged, name)
        return
    greenlet = sys.modules["gevent"].Greenlet(logged)
    greenlet.name = name
    greenlet.start()


def _run_and_log(work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:  # gevent would have SystemExit and others end the process
        logger.exception("a thread failed")


def _are_threads_watched() -> bool:
    """Return whether threads are traced, or something has replaced how they start.

    Tools that watch an application do, so that its context is passed on to each thread.
    """
    if threading.gettrace() is not None or threading.getprofile() is not None:
        return True
    return not all(
        type(method) is FunctionType and method.__code__.co_filename == threading.__file__
        for method in (threading.Thread.start, threading.Thread.run)
    )


def real_thread_id() -> int:
    """Return the id of the operating system's thread, which all of its greenlets share."""
    return int(_original_get_ident())


# Functions, of which those of the standard library stay what they are when gevent patches later.
_original_lock = original("threading", "Lock")
_original_get_ident = original("_thread", "get_ident")

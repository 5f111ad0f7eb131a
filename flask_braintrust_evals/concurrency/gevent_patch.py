"""Threads and events under gevent, which replaces the standard library's with its own.

Nearly everywhere that is what is wanted, and nothing here is needed. These are the exceptions.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any


def is_patched() -> bool:
    """Return whether gevent has replaced the standard library's threads by greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def original(module: str, name: str) -> Any:
    """Return a part of the standard library as it was before gevent replaced it, if it did."""
    if is_patched():
        return sys.modules["gevent.monkey"].get_original(module, name)
    return getattr(__import__(module), name)


def new_event() -> threading.Event:
    """Return an event that wakes everybody who waits for it.

    gevent's own does not: one that waits again, after a time-out, in the moment in which the event
    is set waits without a time-out from then on, and may be passed over, because gevent takes it
    for another one whose callback had the same ``id()`` (``_notify_link_list`` in its
    ``_abstract_linkable.py``, gevent 26.9). The standard library's has a lock for each who waits;
    its locks are gevent's then, so that it gives way to other greenlets as well.
    """
    event: threading.Event = original("threading", "Event")()
    return event


def new_lock() -> threading.Lock:
    """Return a lock for what neither waits nor runs anybody else's code while it is held.

    It is of the operating system's kind also under gevent, whose own takes ten times as long.
    """
    lock: threading.Lock = original("threading", "Lock")()
    return lock


def start_real_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread of the operating system, also where gevent has patched.

    It is a daemon, and unknown to :mod:`threading`: nobody waits for it at the process's end.
    """
    original("_thread", "start_new_thread")(work, ())


def real_thread_id() -> int:
    """Return the id of the operating system's thread, which all of its greenlets share."""
    return int(original("_thread", "get_ident")())

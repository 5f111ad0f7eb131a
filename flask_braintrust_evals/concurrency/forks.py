"""Refuses, in code of evaluators under gevent, what would stop or divide the whole process.

A child that is forked has the hub, the greenlets and the sockets of its parent. As soon as it waits
for something, it goes on with them: it accepts requests, and runs cases, in its parent's place.
From a real thread, gevent forks and then raises ``TypeError: child watchers are only available on
the default loop``, while the child goes on (gevent 26.9).

``multiprocessing.Pool`` has threads, which are greenlets under gevent, and one of them always reads
from a pipe in a way that gevent does not know. So the others never run again, in the whole thread.

Other code of the application is left to gevent.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from . import child_processes
from .gevent_patch import is_patched
from .held_scope import scope_around

P = ParamSpec("P")
T = TypeVar("T")

INSTEAD = (
    "use concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn')),"
    " or do without gevent, as with gunicorn's gthread workers"
)
FORK = (
    "under gevent, code of evaluators cannot fork: the child would have the connections of this"
    f" process, and go on with its requests and runs; {INSTEAD}"
)
POOL = f"under gevent, multiprocessing.Pool would stop its whole thread for good; {INSTEAD}"

_is_installed = False


def refuse_forks() -> None:
    """Have forks and pools of processes fail in code of evaluators, under gevent.

    May be called again.
    """
    global _is_installed
    if _is_installed or not is_patched():
        return
    _is_installed = True
    from multiprocessing import pool, popen_fork  # it takes 20 ms, and only gevent needs it

    _refuse(os, "fork", FORK)
    # Before it opens pipes, which it would not close.
    _refuse(popen_fork.Popen, "_launch", FORK)
    # Pools of threads have queues of their own.
    _refuse(pool.Pool, "_setup_queues", POOL)


def _refuse(owner: Any, name: str, why: str) -> None:
    function = getattr(owner, name, None)  # the last two are private, and may go
    if function is not None:
        setattr(owner, name, _refusing(function, why))


def _refusing(function: Callable[P, T], why: str) -> Callable[P, T]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if child_processes.is_in_our_thread() or scope_around() is not None:
            raise RuntimeError(why)
        return function(*args, **kwargs)

    return call

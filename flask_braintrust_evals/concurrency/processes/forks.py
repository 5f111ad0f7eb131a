"""Refuses, in code of evaluators under gevent, what would stop or divide the whole process.

A child that is forked has the hub, the greenlets and the sockets of its parent. As soon as it waits
for something, it goes on with them: it accepts requests, and runs cases, in its parent's place.
From a real thread, gevent forks and then raises ``TypeError: child watchers are only available on
the default loop``, while the child goes on (gevent 26.9).

What starts a program at once is not refused: ``os.spawnv`` and the like, and ``os.forkpty``, which
libraries use for that alone, and which cannot be done for a real thread by the main one.

``multiprocessing.Pool`` has threads, which are greenlets under gevent, and one of them always reads
from a pipe in a way that gevent does not know. So the others never run again, in the whole thread.

Other code of the application is left to gevent.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextvars import Context
from typing import Any, ParamSpec, TypeVar

from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.held_scope import scope_around

from . import child_processes

P = ParamSpec("P")
T = TypeVar("T")

INSTEAD = (
    "use subprocess for programs, and for functions concurrent.futures.ProcessPoolExecutor("
    "mp_context=multiprocessing.get_context('spawn')), or do without gevent, as with gunicorn's"
    " gthread workers"
)
FORK = (
    "under gevent, code of evaluators cannot fork: the child would have the connections of this"
    f" process, and go on with its requests and runs; {INSTEAD}"
)
PTY = "under gevent, os.forkpty works only in plain tasks and scorers without blocking=True"
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
    _refuse(os, "forkpty", PTY, only_in_threads=True)
    # Before it opens pipes, which it would not close.
    _refuse(popen_fork.Popen, "_launch", FORK)
    # Pools of threads have queues of their own.
    _refuse(pool.Pool, "_setup_queues", POOL)
    _replace(os, "_spawnvef", _outside_of_scopes)  # what os.spawnl to os.spawnvpe call


def _replace(owner: Any, name: str, replacement: Callable[[Any], Any]) -> None:
    function = getattr(owner, name, None)  # private ones may go
    if function is not None:
        setattr(owner, name, functools.wraps(function)(replacement(function)))


def _refuse(owner: Any, name: str, why: str, only_in_threads: bool = False) -> None:
    def refusing(function: Callable[P, T]) -> Callable[P, T]:
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            in_scope = not only_in_threads and scope_around() is not None
            if in_scope or child_processes.is_in_our_thread():
                raise RuntimeError(why)
            return function(*args, **kwargs)

        return call

    _replace(owner, name, refusing)


def _outside_of_scopes(function: Callable[P, T]) -> Callable[P, T]:
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return Context().run(function, *args, **kwargs)

    return call

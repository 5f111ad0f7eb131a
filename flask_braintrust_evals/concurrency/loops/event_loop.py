"""One event loop, in a real thread, for all coroutines of the process.

Several greenlets of one thread cannot each run an event loop (asyncio refuses the second), and a
loop must not run on the thread that serves requests. So coroutines of tasks and scorers run here,
while the worker that needs their result waits.
"""

from __future__ import annotations

import atexit
import os

from flask_braintrust_evals.concurrency.gevent_patch import new_lock

from .loop_health import LoopHealth, set_source
from .loop_thread import MAX_GIVEN_UP, BackgroundLoop

_current: BackgroundLoop | None = None
_given_up: list[BackgroundLoop] = []
_lock = new_lock()


def background_loop() -> BackgroundLoop:
    """Return the loop of this process, made by the first call, and again if it was given up."""
    global _current
    loop = _current
    if loop is not None:
        return loop
    with _lock:
        if _current is None:
            _current = BackgroundLoop(_replace, _resume, _note_ended)
        return _current


def _health() -> LoopHealth:
    loop = _current
    return LoopHealth(0.0 if loop is None else loop.blocked_for, _count_blocked())


def _count_blocked() -> int:
    """Return how many of those given up are blocked: others end when their coroutines have."""
    return sum(loop.blocked_for > 0 for loop in list(_given_up))


def _replace(loop: BackgroundLoop) -> bool:
    """Have the next call of :func:`background_loop` make another loop; return whether it will."""
    global _current
    with _lock:
        if _current is not loop:
            return True
        if loop.failure is None:
            if _count_blocked() >= MAX_GIVEN_UP:
                return False
            _given_up.append(loop)
        _current = None
        return True


def _resume(loop: BackgroundLoop) -> None:
    """Use a loop again that goes on, unless another was made in its place."""
    with _lock:
        if _current is loop:
            loop.take_back()
        else:
            _replace_given_up()


def _replace_given_up() -> None:
    """Replace a loop that was given up while too many others were blocked, if fewer are by now."""
    global _current
    loop = _current
    if loop is not None and loop.is_given_up and _count_blocked() < MAX_GIVEN_UP:
        _given_up.append(loop)
        _current = None


def _note_ended(loop: BackgroundLoop) -> None:
    global _current
    with _lock:
        if loop in _given_up:
            _given_up.remove(loop)
            _replace_given_up()
        if _current is loop:
            _current = None


def _forget() -> None:
    global _current, _lock
    _current, _lock = None, new_lock()
    _given_up.clear()


def _end_with_process() -> None:
    # Python ends other threads wherever they are. Within a switch of greenlets, that crashes.
    if _current is not None:
        _current.end_with_process()


set_source(_health)
atexit.register(_end_with_process)
# A forked child has the loop's memory but not its thread.
os.register_at_fork(after_in_child=_forget)

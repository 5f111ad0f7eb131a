"""A limit for the time that a call over the network may take in all.

A time-out of a socket starts again with each byte that arrives, so a peer that sends a byte now and
then could keep a call waiting for hours.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .gevent_patch import is_patched

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Limit the time of the block: after it, waiting for the network raises :class:`TimeoutError`.

    Under gevent, any waiting is interrupted. Elsewhere, the code of the block has to ask
    :func:`seconds_left` before it waits.
    """
    before = _deadline.set(time.monotonic() + seconds)
    timer = None
    if is_patched():
        timer = sys.modules["gevent"].Timeout.start_new(seconds, TimeoutError("timed out"))
    try:
        yield
    finally:
        if timer is not None:
            timer.close()
        _deadline.reset(before)


def seconds_left(most: float | None = None) -> float | None:
    """Return how many seconds the calling thread or greenlet may wait.

    Args:
        most: the seconds that it would wait without the limit; ``None``: for ever.

    Raises:
        TimeoutError: the time is over.
    """
    deadline = _deadline.get()
    if deadline is None:
        return most
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left if most is None else min(left, most)

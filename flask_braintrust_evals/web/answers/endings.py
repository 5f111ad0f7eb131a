"""Keeps a process from exiting while runs that have ended deliver their spans and attachments.

That goes on after the response is closed, in a thread or greenlet of its own. A server that is
being stopped counts responses only: it exits when the last one is closed.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable

from flask_braintrust_evals.concurrency.gevent_patch import new_event
from flask_braintrust_evals.engine.running.run import RELEASE_AFTER, Run

from .stopping import GracePeriod


class Ending:
    """The end of one run, which takes until its spans and attachments are delivered.

    Args:
        run: the run.
        grace: the time that the run has once the server is being stopped.
    """

    def __init__(self, run: Run, grace: GracePeriod) -> None:
        self._run = run
        self._grace = grace
        self.delivered = new_event()

    def seconds_to_wait(self) -> float:
        """Return the seconds that a process which exits now waits for it.

        They are those for the workers of a run that has ended, and for the delivery that follows,
        but no more than the server lets its worker live; 0 for a run that is still under way.
        """
        if not self._run.state.is_end:
            return 0.0
        limit = RELEASE_AFTER + (self._grace.time_to_end or 0.0)
        left = self._grace.until_killed()
        return limit if left is None else min(limit, left)


class Endings:
    """The runs of this process that have something to deliver, or will have. Thread-safe."""

    def __init__(self) -> None:
        self._pending: set[Ending] = set()
        # Made at import, and not held while anything else is called: see SessionCache.
        self._lock = threading.Lock()
        self._is_registered = False

    def add(self, run: Run, grace: GracePeriod) -> Callable[[], None]:
        """Have the process wait for a run, and return the function that says that it need not.

        Args:
            run: the run.
            grace: the time that the run has once the server is being stopped.
        """
        ending = Ending(run, grace)
        with self._lock:
            self._pending.add(ending)
            is_first, self._is_registered = not self._is_registered, True
        if is_first:
            # Not at import: what is registered last is called first, and the event loop and the
            # native threads must still be there.
            atexit.register(self.wait)

        def remove() -> None:
            with self._lock:
                self._pending.discard(ending)
            ending.delivered.set()

        return remove

    def wait(self) -> None:
        """Wait for all of them, side by side. Called when the process exits."""
        with self._lock:
            pending = list(self._pending)
        now = time.monotonic()
        deadlines = [(now + ending.seconds_to_wait(), ending) for ending in pending]
        for deadline, ending in deadlines:
            ending.delivered.wait(max(0.0, deadline - time.monotonic()))

    def forget(self) -> None:
        """Wait for nothing: a forked child has no thread that delivers anything."""
        self._pending.clear()
        self._lock = threading.Lock()  # another thread of the parent may have held it


ENDINGS = Endings()
os.register_at_fork(after_in_child=ENDINGS.forget)

"""Counts the users of a run, and calls what is to be called when the last one has left."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from flask_braintrust_evals.concurrency.gevent_patch import new_event, set_event, start_thread
from flask_braintrust_evals.concurrency.timers import Timer, call_later

logger = logging.getLogger("flask_braintrust_evals")

CONSUMER = 0
"""Stands for the consumer among the users of a run; workers are numbered from 1."""


class LeftOver:
    """Counts the workers of this process that are at work although their runs have ended."""

    def __init__(self) -> None:
        self.count = 0
        # Made at import, and not held while anything else is called: see SessionCache.
        self._lock = threading.Lock()

    def add(self, count: int) -> int:
        """Add to the count, and return it."""
        with self._lock:
            self.count += count
            return self.count


left_over = LeftOver()


class RunUsers:
    """The consumer and the workers of a run. Thread-safe.

    Whoever is the last to leave calls the callbacks. Where a run was ended early, it does not wait
    for users that cannot be ended, such as a plain function that does not return: after some
    seconds they are *let go*. Then the callbacks are called without them.

    Args:
        name: the evaluator's name, for the log.
        close_source: called when the last worker has left, also one that was let go.

    Attributes:
        no_workers: set when there is no worker, or none that was not let go.
    """

    def __init__(self, name: str, close_source: Callable[[], None]) -> None:
        self._name = name
        self._close_source = close_source
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._present = {CONSUMER}
        self._let_go: set[int] = set()
        self._ended = 0.0
        self._timer: Timer | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._released = False
        self._source_closed = False
        self.no_workers = new_event()

    def __len__(self) -> int:
        """Return the number of users that were not let go."""
        return len(self._present)

    @property
    def workers(self) -> int:
        """The number of workers that were not let go."""
        return len(self._present) - (CONSUMER in self._present)

    def when_released(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when there is no user any more."""
        self._callbacks.append(callback)

    def add_worker(self) -> int:
        """Count one more worker, and return its number."""
        with self._lock:
            number = next(self._numbers)
            self._present.add(number)
            return number

    def leave(self, user: int) -> bool:
        """Note that a user has left; return whether that was the last worker.

        The last user calls the callbacks. Nothing happens if the user has left before.
        """
        with self._lock:
            is_late = user in self._let_go
            if not is_late and user not in self._present:
                return False
            (self._let_go if is_late else self._present).remove(user)
            no_workers, unused = self._present <= {CONSUMER}, not self._present
        if is_late:
            self._note_late(user)
        if not no_workers:  # as for most workers: the stack takes longer than all of this
            return False
        with ExitStack() as afterwards:  # also if the caller is interrupted
            if unused:
                afterwards.callback(self._close_source_if_unused)
                afterwards.callback(self._release)
            set_event(self.no_workers)
        return True

    def let_go_after(self, seconds: float) -> None:
        """Let all users go that are left in ``seconds`` seconds. Called when the run has ended."""
        self._ended = time.monotonic()
        try:
            self._timer = call_later(seconds, lambda: self._let_all_go(seconds))
        except RuntimeError as error:
            logger.warning("evaluator %r: no timer could be started: %s", self._name, error)
            self._let_all_go(0.0)

    def _let_all_go(self, seconds: float) -> None:
        with self._lock:
            if not self._present:
                return
            workers = self._present - {CONSUMER}
            self._let_go |= workers
            self._present.clear()
        self.no_workers.set()
        if workers:
            total = left_over.add(len(workers))
            logger.warning(
                "evaluator %r: %g s after the end of a run, %d of its workers are busy with what"
                " cannot be ended from outside (a task, a scorer, or the data); what the run held"
                " is released without them (such workers in this process: %d)",
                self._name,
                seconds,
                len(workers),
                total,
            )
        try:
            # The callbacks deliver spans, for which other timers must not wait.
            start_thread(self._release_and_log, "eval-release")
        except RuntimeError:
            self._release_and_log()

    def _note_late(self, user: int) -> None:
        total = left_over.add(-1)
        logger.info(
            "evaluator %r: a worker has ended %.1f s after its run (such workers in this process:"
            " %d)",
            self._name,
            time.monotonic() - self._ended,
            total,
        )

    def _release_and_log(self) -> None:
        try:
            self._release()
        except Exception:
            logger.exception("evaluator %r: the end of a run failed", self._name)
        self._close_source_if_unused()  # there was only the consumer

    def _close_source_if_unused(self) -> None:
        # A generator that a worker is reading cannot be closed.
        with self._lock:
            if self._let_go or self._source_closed:
                return
            self._source_closed = True
        self._close_source()

    def _release(self) -> None:
        """Call the callbacks, once: all of them, also if one raises."""
        with self._lock:
            if self._released:
                return
            self._released = True
            timer, self._timer = self._timer, None
            callbacks, self._callbacks = self._callbacks, []  # which refer to this run
        if timer is not None:
            timer.cancel()
        with ExitStack() as all_of_them:
            for callback in reversed(callbacks):
                all_of_them.callback(callback)

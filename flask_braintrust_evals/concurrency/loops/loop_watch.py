"""Notices that an event loop is blocked: that one of its coroutines does not let the others run.

A thread of the operating system asks the loop for a sign of life every second, as long as there are
coroutines under way. If none comes, it logs where the loop's thread is.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from flask_braintrust_evals.concurrency.gevent_patch import (
    is_patched,
    new_lock,
    original,
    real_thread_id,
)
from flask_braintrust_evals.concurrency.real_threads import start_real_thread
from flask_braintrust_evals.concurrency.signals import ThreadSignal

logger = logging.getLogger("flask_braintrust_evals")

INTERVAL = 1.0
"""Seconds between two questions. Nothing is asked while no coroutine is under way."""
BLOCKED_AFTER = 5.0
"""Seconds without a sign of life after which a loop counts as blocked, and a warning is logged."""
GIVE_UP_AFTER = 30.0
"""Seconds without a sign of life after which coroutines are no longer started on the loop."""


class WatchedLoop(Protocol):
    """An event loop that can be watched."""

    @property
    def is_busy(self) -> bool:
        """Whether coroutines are under way."""

    def ask(self, answer: Callable[[], Any]) -> None:
        """Have the loop call ``answer``."""

    def culprit(self) -> str:
        """Return whose coroutine runs, for a message."""

    def give_up(self, reason: str) -> None:
        """Start nothing on the loop any more, and wait for nothing."""

    @property
    def is_given_up(self) -> bool:
        """Whether coroutines are no longer started on the loop."""

    def use_again(self) -> None:
        """Start coroutines on a loop again that goes on, if it has none in its place."""

    def end(self) -> None:
        """End a loop that was given up and goes on, and is not used again."""


class LoopWatch:
    """Watches one event loop. Made on the thread of the loop.

    Attributes:
        blocked_since: when the loop was asked for a sign of life that has not come, by
            ``time.monotonic()``; ``None``: it is not blocked.
    """

    def __init__(self, loop: WatchedLoop) -> None:
        self.blocked_since: float | None = None
        self._loop = loop
        self._thread = real_thread_id()
        # Under gevent, a coroutine that calls time.sleep switches to the hub of the loop's thread.
        self._greenlet = sys.modules["greenlet"].getcurrent() if is_patched() else None
        self._lock = new_lock()
        self._is_watching = False
        self._has_ended = False
        self._question: ThreadSignal | None = None

    def ensure(self) -> None:
        """Watch the loop from now on, until no coroutine is under way."""
        if not self._is_watching:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._is_watching:
                return
            self._is_watching = True
        try:
            start_real_thread(self._watch)
        except RuntimeError as error:  # the system has no more threads
            self._is_watching = False
            logger.warning("the event loop is not watched: %s", error)

    def loop_has_ended(self) -> None:
        """Stop watching: the loop will give no sign of life any more."""
        self._has_ended = True
        if self._question is not None:
            self._question.set()

    @property
    def seconds(self) -> float:
        """For how long the loop has been blocked; 0: it is not."""
        since = self.blocked_since
        return 0.0 if since is None else time.monotonic() - since

    def _watch(self) -> None:
        # Not gevent's, nor is the signal: only this thread waits, and it has no greenlets.
        sleep = original("time", "sleep")
        try:
            while not self._may_end():
                self._question = answered = ThreadSignal()
                asked = time.monotonic()
                self._loop.ask(answered.set)
                if not answered.wait(BLOCKED_AFTER):
                    self._follow(asked, answered)
                if self._has_ended:
                    return
                sleep(INTERVAL)
        except RuntimeError:  # the loop is closed
            self._is_watching = False

    def _may_end(self) -> bool:
        with self._lock:
            self._is_watching = False
            # Asked after that: who starts a coroutine looks at the flag after it is under way.
            if self._loop.is_busy:
                self._is_watching = True
                return False
        if self._loop.is_given_up:
            self._loop.end()
        return True

    def _follow(self, asked: float, answered: ThreadSignal) -> None:
        """Report a loop that is blocked, and wait until it is not."""
        self.blocked_since = asked
        culprit = self._loop.culprit()
        self._report(culprit)
        if not answered.wait(GIVE_UP_AFTER - self.seconds):
            self._loop.give_up(
                f"the event loop was blocked for {self.seconds:.0f} s by a coroutine of {culprit}"
            )
            answered.wait()
        if self._has_ended:
            return
        logger.warning("the event loop goes on; it was blocked for %.1f s", self.seconds)
        self.blocked_since = None
        if self._loop.is_given_up:
            self._loop.use_again()

    def _report(self, culprit: str) -> None:
        # The stack is no part of the message, which is kept in one line.
        record = logger.makeRecord(
            logger.name,
            logging.WARNING,
            __file__,
            0,
            "the event loop has been blocked for %.0f s by a coroutine of %s, and no other"
            " coroutine of this process runs meanwhile; have asyncio.to_thread call what blocks."
            " The stack shows where it is",
            (self.seconds, culprit),
            None,
            sinfo=self._stack(),
        )
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)

    def _stack(self) -> str:
        frame = getattr(self._greenlet, "gr_frame", None)  # only of one that does not run
        frame = frame or sys._current_frames().get(self._thread)
        return "".join(traceback.format_stack(frame)).rstrip()

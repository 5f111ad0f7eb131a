"""Calls of user code that blocks, in threads of the operating system that all runs share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.native_threads import (
    MAX_BLOCKING,
    CallState,
    NativeCall,
    blocking_threads,
)
from flask_braintrust_evals.concurrency.timers import call_later

logger = logging.getLogger("flask_braintrust_evals")

GIVE_UP_AFTER = 5.0
"""Seconds that a call may go on after its run has ended, until it is given up."""


class BlockingCalls:
    """The calls of one run. They take turns with those of other runs."""

    def __init__(self, evaluator: str) -> None:
        self._evaluator = evaluator
        self._threads = blocking_threads()
        self._warned: set[bool] = set()  # of a thread that is replaced; of one that is not

    def start(self, work: Callable[[], None], job: Job[Any]) -> NativeCall:
        """Have ``work`` called as soon as there is a thread.

        Args:
            work: calls the user code and ends ``job``.
            job: what waits for the call. If it is cancelled before the call begins, the call is not
                made, and the job fails with ``asyncio.CancelledError``.

        Raises:
            RuntimeError: the system has no more threads.
        """
        call = NativeCall(work, self)
        # Before it starts: a coroutine that it returns is cancelled in another way.
        job.when_cancelled(lambda: self._cancel(call, job))
        self._threads.start(call)
        return call

    def give_up(self, call: NativeCall) -> None:
        """Wait no more for a call. Its thread is replaced, since it cannot be ended."""
        if self._threads.cancel(call):
            return
        replaced = self._threads.give_up(call)
        if call.state not in (CallState.RUNNING, CallState.GIVEN_UP) or replaced in self._warned:
            return
        self._warned.add(replaced)
        logger.warning(
            "evaluator %r: a call goes on although its time is up, and keeps its thread; %s (such"
            " threads in this process: %d)",
            self._evaluator,
            "another one takes its place"
            if replaced
            else f"it is one of the {MAX_BLOCKING} of blocking evaluators, and is not replaced"
            " before another such call ends",
            self._threads.given_up,
        )

    def _cancel(self, call: NativeCall, job: Job[Any]) -> None:
        if self._threads.cancel(call):
            job.fail(asyncio.CancelledError())
            return
        with suppress(RuntimeError):  # the system has no thread for the timer
            call_later(GIVE_UP_AFTER, lambda: self.give_up(call))

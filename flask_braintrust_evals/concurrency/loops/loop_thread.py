"""An event loop in a thread of its own, and the ways in which it ends."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.gevent_patch import new_lock, real_thread_id
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.concurrency.processes import child_processes
from flask_braintrust_evals.concurrency.real_threads import start_real_thread
from flask_braintrust_evals.concurrency.signals import ThreadSignal
from flask_braintrust_evals.texts.safe_texts import safe_text

from .loop_call import LoopCall
from .loop_watch import LoopWatch
from .thread_loop import ThreadLoop

logger = logging.getLogger("flask_braintrust_evals")

MAX_GIVEN_UP = 3
"""Blocked loops in whose place another one is made. Each of them may take all of a processor."""
EXIT_TIMEOUT = 1.0
"""Seconds for which the end of the process waits for the end of the loop's thread."""


class LoopError(RuntimeError):
    """The event loop could not be made, or is blocked by a coroutine."""


class BackgroundLoop:
    """An event loop that runs until the process ends, or until it is given up and then goes on.

    Args:
        replace: called with this loop when nothing more may be started on it; returns whether
            another one is made in its place.
        resume: called with this loop when it goes on after it was given up; calls
            :meth:`take_back` if no other was made in its place.
        note_ended: called with this loop when its thread ends.
    """

    def __init__(
        self,
        replace: Callable[[BackgroundLoop], bool],
        resume: Callable[[BackgroundLoop], None],
        note_ended: Callable[[BackgroundLoop], None],
    ) -> None:
        self._replace = replace
        self._resume = resume
        self._note_ended = note_ended
        self._loop: asyncio.AbstractEventLoop
        self._watch: LoopWatch
        self._thread: int | None = None
        self._is_ready = False
        # The system's kind: threads that wait for gevent's locks at the same time, and make their
        # hubs while the loop's thread makes its own, may wait for ever. It is a matter of
        # milliseconds, once.
        self._starting = new_lock()
        self._starting.acquire()
        self.failure: BaseException | None = None
        self._given_up: str | None = None
        self._ended = False
        # What runs, or waits to be run. Changed by single operations only.
        self._calls: dict[LoopCall, None] = {}
        self._to_begin: deque[LoopCall] = deque()
        self._expects_begin = False
        self._exited = ThreadSignal()
        child_processes.prepare()
        start_real_thread(self._serve_and_exit)

    def run(
        self,
        awaitable: Awaitable[Any],
        cancellation: Cancellation,
        job: Job[Any] | None = None,
        deadline: float | None = None,
        name: str = "",
    ) -> Any:
        """Await ``awaitable`` on the loop, in a copy of the caller's context, and wait for it.

        Args:
            awaitable: a coroutine, or anything else that ``await`` takes.
            cancellation: cancels it when set.
            job: receives what the coroutine posts while it runs.
            deadline: when to cancel it and stop waiting, by ``time.monotonic()``.
            name: the evaluator's name, for the log.

        Returns:
            what the awaitable returns; raises what it raises, ``asyncio.CancelledError`` included.

        Raises:
            DeadlineError: the deadline has passed.
            LoopError: the loop could not be made, or is blocked.
            RuntimeError: the caller runs on the loop itself, and would wait forever.
        """
        job = Job() if job is None else job
        self.start(awaitable, cancellation, job, name)
        cancellation.add(job, job.cancel)
        try:
            return job.wait(deadline)
        except DeadlineError:
            job.leave()
            job.cancel()
            raise
        finally:
            cancellation.remove(job)

    def start(
        self,
        awaitable: Awaitable[Any],
        cancellation: Cancellation,
        job: Job[Any],
        name: str = "",
    ) -> None:
        """Do as :meth:`run`, but do not wait: ``job`` gets the result.

        If ``cancellation`` is set by the time the loop comes to the awaitable, that is cancelled at
        once. Later, ``job.cancel()`` does that.

        Raises:
            LoopError, RuntimeError: see :meth:`run`.
        """
        if self.is_current():
            raise RuntimeError(
                "a coroutine cannot wait here for another one on the same event loop; call"
                " Evaluator.run from a plain function instead of a coroutine"
            )
        try:
            self._check()
            call = LoopCall(awaitable, cancellation, job, name, self._loop, self._calls)
            self._calls[call] = None
            self._begin_soon(call)
        except RuntimeError:
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            raise
        reason = self._given_up
        if reason is not None:  # meanwhile, and perhaps before the call was there
            self._fail(call, reason)
        self._watch.ensure()

    def _begin_soon(self, call: LoopCall) -> None:
        """Have the loop begin a call, with those of others if it has not come to them yet."""
        self._to_begin.append(call)
        # In this order: the loop looks at what is there after it has changed this.
        if self._expects_begin:
            return
        self._expects_begin = True
        try:
            self._loop.call_soon_threadsafe(self._begin_all)
        except RuntimeError:  # it is closed
            self._calls.pop(call, None)
            raise

    def _begin_all(self) -> None:
        self._expects_begin = False
        while self._to_begin:
            self._to_begin.popleft().begin()

    def is_current(self) -> bool:
        """Return whether the caller runs on the loop's thread."""
        return self._thread == real_thread_id()

    @property
    def blocked_for(self) -> float:
        """Seconds for which the loop has been blocked; 0: it is not."""
        return self._watch.seconds if self._is_ready and self.failure is None else 0.0

    def _check(self) -> None:
        """Wait until the loop is there.

        Raises:
            LoopError: it could not be made, or was given up.
        """
        if not self._is_ready:
            with self._starting:  # until it is released
                pass
        if self.failure is not None:
            kind = type(self.failure).__name__
            raise LoopError(
                f"the event loop could not be made: {kind}: {self.failure}"
            ) from self.failure
        if self._given_up is not None:
            raise LoopError(
                f"{self._given_up}, and cannot be replaced while so many others are blocked too;"
                " restart the server"
            )

    def _serve_and_exit(self) -> None:
        try:
            self._serve()
        finally:
            self._exited.set()

    def _note_ready(self) -> None:
        self._is_ready = True
        self._starting.release()

    def _serve(self) -> None:
        child_processes.enter_thread()
        try:
            # Here: under gevent, a loop's selector belongs to the hub of the thread it is made in.
            self._loop = ThreadLoop()
            asyncio.set_event_loop(self._loop)
            self._thread = real_thread_id()
            self._watch = LoopWatch(self)
        except BaseException as error:  # the process may have no free descriptor, or no memory
            self.failure = error
            self._replace(self)
            self._note_ready()
            return
        self._note_ready()
        while not self._ended:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                logger.exception("a callback that a task left on the event loop failed")
            except BaseException as error:
                # The loop itself: a task may have closed its descriptors.
                logger.exception("the event loop failed")
                self.give_up(f"the event loop failed: {type(error).__name__}: {safe_text(error)}")
                break
        with suppress(Exception):  # one that failed may not have what it wants to close
            self._loop.close()
        self._note_ended(self)
        self._watch.loop_has_ended()
        child_processes.leave_thread()

    # --- For LoopWatch, as a WatchedLoop ---

    @property
    def is_busy(self) -> bool:
        return bool(self._calls)

    def ask(self, answer: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(answer)

    def culprit(self) -> str:
        running = asyncio.current_task(self._loop)
        calls = list(self._calls)
        names = {call.name for call in calls if running is not None and call.task is running}
        names = names or {call.name for call in calls}
        known = " or ".join(sorted(repr(name) for name in names if name))
        return f"evaluator {known}" if known else "an evaluator"

    def give_up(self, reason: str) -> None:
        """Have another loop made for further coroutines, and fail those that are under way."""
        self._given_up = reason  # first: if there is no room for another loop, there may be later
        if not self._replace(self):
            logger.error("%s; %d loops are blocked, and no other is made", reason, MAX_GIVEN_UP)
        for call in list(self._calls):
            self._fail(call, reason)

    def _fail(self, call: LoopCall, reason: str) -> None:
        call.job.cancel()  # if the loop goes on after all
        call.job.fail(LoopError(reason))

    @property
    def is_given_up(self) -> bool:
        return self._given_up is not None

    def use_again(self) -> None:
        self._resume(self)

    def end(self) -> None:
        self._ended = True
        self._loop.call_soon_threadsafe(self._loop.stop)

    # --- For the module that makes loops ---

    def take_back(self) -> None:
        """Take back that the loop was given up."""
        self._given_up = None

    def end_with_process(self) -> None:
        """End the loop and wait for its thread, unless a coroutine blocks it."""
        if not self._is_ready or self.failure is not None:
            return
        # asyncio would report the coroutines that are still under way, which nobody waits for.
        self._loop.set_exception_handler(lambda loop, context: None)
        with suppress(RuntimeError):  # it is closed
            self.end()
            self._exited.wait(EXIT_TIMEOUT)

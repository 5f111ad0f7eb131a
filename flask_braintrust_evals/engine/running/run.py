"""A run: workers that run cases, and an iterator of the events.

The consumer iterates; workers take cases from the source, have them run, and put events into a
bounded channel. A consumer that stops reading therefore stops the workers, and with them the
reading of data. The first worker starts with the run, and up to two more for each
:class:`CaseStarted` that the consumer has received: so many are soon under way, yet none for a
consumer that does not read, and no data is read ahead of running cases.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.concurrency.timers import Timer, call_later
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    Event,
    RunFailed,
    RunFinished,
)
from flask_braintrust_evals.engine.values.summary import RunSummary, cases_text
from flask_braintrust_evals.errors import EvalsError, RunError, RunTimeoutError

from .cases.executor import CaseExecutor
from .event_flow import EventFlow
from .open_cases import OpenCases
from .run_state import RunState
from .run_users import CONSUMER, RunUsers
from .run_workers import RunWorkers
from .sources.case_source import CaseSource, CasesToMake
from .sources.large_cases import Room

RELEASE_AFTER = 5.0
"""Seconds after an early end for which the run waits for workers that have not ended."""


class Run:
    """One run of an evaluator. Iterate over it once; close it if you stop early.

    Args:
        executor: runs each case.
        cases: an iterable of cases, or how to make one; the workers read it, one item at a time.
        max_concurrency: cases at a time.
        trial_count: how often to run each case that does not say so itself.
        timeout: seconds after which the run is given up, whatever the consumer does.
        spent: how many of them have passed before.
        max_cases: cases that the run may have, each trial counted; ``None``: no limit.
        outlive_run, room: see :class:`CaseSource`.
        places: limits the cases at a time of all runs that share it; ``None``: no limit.
        idle_after: seconds of silence after which to yield :class:`Idle`; ``None``: never.
        name: the evaluator's name, for the log.

    Attributes:
        state: where the run is; see :class:`RunState`.
        error: why it failed or was given up; ``None`` where it was not.
        summary: the means over the cases whose events the consumer has received.
    """

    def __init__(
        self,
        executor: CaseExecutor,
        cases: Iterable[Any] | CasesToMake,
        *,
        max_concurrency: int,
        trial_count: int = 1,
        timeout: float | None = None,
        spent: float = 0.0,
        max_cases: int | None = None,
        outlive_run: bool = False,
        room: Room | None = None,
        places: Places | None = None,
        idle_after: float | None = None,
        name: str = "",
    ) -> None:
        self._executor = executor
        self._source = CaseSource(cases, trial_count, max_cases, outlive_run, room)
        self._timeout = timeout
        self._spent = spent
        self._events = EventFlow(idle_after)
        self._lock = threading.Lock()
        self._users = RunUsers(name, self._source.close)
        self._workers = RunWorkers(
            executor,
            self._source,
            self._events,
            self._users,
            limit=max_concurrency,
            places=places,
            lock=self._lock,
            may_begin=lambda: self.state is RunState.RUNNING,
            fail=self._fail,
        )
        self._users.when_released(self._workers.close)
        self._deadline: Timer | None = None
        self.state = RunState.NEW
        self.error: EvalsError | None = None
        self.summary = RunSummary()

    def __iter__(self) -> Iterator[Event]:
        with closing(self.batches()) as batches:
            for batch in batches:
                yield from batch

    def batches(self) -> Generator[list[Event], None, None]:
        """Yield the same events in lists: all that are there at a time, and at least one."""
        open_cases = OpenCases()
        try:
            self._start()
            while not self.state.is_end:
                batch, is_last = self._next_batch(open_cases)
                if batch:
                    yield batch
                    self._go_on_after(batch)
                del batch  # while waiting for the next one: there may be large values in it
                if is_last:
                    self._end(self._ending())
            yield self._last_batch(open_cases)
        finally:
            self.close()

    def stop(self) -> None:
        """Cancel running tasks and start no new case.

        The consumer goes on until the remaining events are delivered. May be called again.
        """
        with self._lock:
            if not self.state.is_end:
                self.state = RunState.STOPPING
        self._cancel()

    def give_up(self, reason: RunError, release_after: float | None = None) -> None:
        """End the run at once. The next events report running cases as failed, and the run too.

        Args:
            reason: why.
            release_after: seconds after which the run no longer waits for those that use it;
                default: :data:`RELEASE_AFTER`.
        """
        self._end(RunState.GIVEN_UP, reason, release_after)

    def close(self) -> None:
        """Cancel the run unless it has ended. The consumer reads no more. May be called again."""
        try:
            self._end(RunState.CANCELLED)
        finally:  # also if the caller is interrupted
            self._users.leave(CONSUMER)

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when neither the consumer nor a worker uses the run any more.

        If the run was closed or given up, it is called after :data:`RELEASE_AFTER` seconds at the
        latest, also if workers have not ended. It is called on the thread of whichever was the
        last. Several callbacks are called in the order added, each also if the one before raises.
        Add them before the run is iterated over or closed.
        """
        self._users.when_released(callback)

    def wait_for_workers(self, timeout: float) -> None:
        """Wait until all workers have ended, at most ``timeout`` seconds. Cancel the run first."""
        if self._users.workers:
            self._users.no_workers.wait(timeout)

    # --- On the consumer's thread ---

    def _start(self) -> None:
        with self._lock:
            if self.state is RunState.NEW:
                self.state = RunState.RUNNING
        self._start_deadline()
        if not self._workers.add() and not self._users.no_workers.is_set():
            # It was stopped before it began.
            self._events.note_no_workers()

    def _start_deadline(self) -> None:
        """Have the run given up at its time-out, also while its consumer asks for nothing."""
        if self._timeout is None or self.state is not RunState.RUNNING:
            return
        reason = RunTimeoutError(f"the run's time-out of {self._timeout:g} seconds was reached")
        try:
            left = max(0.0, self._timeout - self._spent)
            self._deadline = call_later(left, lambda: self.give_up(reason))
        except RuntimeError as error:
            self._fail(EvalsError(f"no timer could be started for the run's time-out: {error}"))

    def _next_batch(self, open_cases: OpenCases) -> tuple[list[Event], bool]:
        """Wait for events; return them, which may be none, and whether no others will come."""
        batch, is_last = self._events.take()
        for event in batch:
            open_cases.note(event, self.summary)
        return batch, is_last

    def _go_on_after(self, batch: list[Event]) -> None:
        """Have more cases begin, since the consumer is done with a batch and comes back for more.

        Not before: a new worker may run a whole case at once, and the results would wait for that.
        """
        for event in batch:
            if isinstance(event, CaseFinished):
                self._source.done(event.result.ref.index, event.result.ref.trial_index)
            elif isinstance(event, CaseStarted) and self._workers.add():
                self._workers.add()  # the number of workers grows as fast as the consumer reads

    def _ending(self) -> RunState:
        """Return how a run ends whose last worker has ended."""
        if self.state is RunState.RUNNING and not self._source.exhausted:
            # The system had no thread when another run had just got the place of the last worker.
            self._fail(EvalsError("no worker could be started for the remaining cases"))
        if self.error is not None:
            return RunState.FAILED
        return RunState.DONE if self.state is RunState.RUNNING else RunState.CANCELLED

    def _end(
        self,
        state: RunState,
        error: EvalsError | None = None,
        release_after: float | None = None,
    ) -> None:
        """End the run, unless it has ended: the one place where it does, for whatever reason.

        From here on, a worker that emits an event gets :class:`ChannelClosedError`.
        """
        with self._lock:
            if self.state.is_end:
                return
            self.state, self.error = state, error or self.error
        try:
            self._events.close()
            if self._deadline is not None:
                self._deadline.cancel()
            if state in (RunState.CANCELLED, RunState.GIVEN_UP):
                self._users.let_go_after(RELEASE_AFTER if release_after is None else release_after)
        finally:  # also if the caller is interrupted: nobody does it later
            self._cancel()

    def _cancel(self) -> None:
        try:
            self._source.cancel()
        finally:
            self._executor.cancel()

    def _last_batch(self, open_cases: OpenCases) -> list[Event]:
        """Return the last event, after those that report running cases as failed."""
        error = self.error
        if error is None or self.state not in (RunState.FAILED, RunState.GIVEN_UP):
            return [RunFinished(self.summary)]
        if self.state is RunState.FAILED:
            return [RunFailed(error, self.summary)]
        done = self.summary.cases
        events = open_cases.fail(error, self.summary)
        failure = type(error)(f"{error}; done by then: {cases_text(done)}")
        return [*events, RunFailed(failure, self.summary)]

    # --- On the threads of workers, too ---

    def _fail(self, error: EvalsError) -> None:
        """Start no new case. The run fails when the running ones are done."""
        with self._lock:
            self.error = self.error or error
            if not self.state.is_end:
                self.state = RunState.STOPPING
        self._source.cancel()

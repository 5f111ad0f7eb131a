"""A run: up to so many cases at a time, and an iterator of what happens.

The listener iterates; workers take cases from the source, run them and put events into a bounded
channel. A listener that stops reading therefore stops the workers, and with them the reading of
data. Each worker is started by the listener's hearing that a case has started, so that no more data
is asked for before the cases at hand are running.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from queue import Empty
from typing import Any

from flask_braintrust_evals.concurrency.channel import Channel, ChannelClosedError, start_worker
from flask_braintrust_evals.concurrency.gevent_patch import new_event
from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.errors import (
    EvalsError,
    RunError,
    RunTimeoutError,
)

from .case_runner import CaseRunner
from .case_source import CaseSource
from .values.events import (
    CaseFinished,
    CaseStarted,
    Event,
    Idle,
    RunFailed,
    RunFinished,
    TaskFinished,
)
from .values.results import CaseError, CaseResult
from .values.summary import RunSummary

logger = logging.getLogger("flask_braintrust_evals")

CHANNEL_CAPACITY = 64
"""Events that may wait for the listener before the workers wait for it."""
CHANNEL_ROOM = 1_000_000
"""Bytes of outputs that may."""
LISTENERS_PATIENCE = 0.0005
"""Seconds for which workers may go on before they let the listener have its turn."""


class _Drained(Event):
    """The last worker has left."""


class Run:
    """One run of an evaluator. Iterate over it once; close it if you stop early.

    Args:
        runner: runs each case.
        cases: an iterable of cases; read by the workers, one item at a time, as they are free.
        max_concurrency: cases at a time.
        trial_count: how often to run each case that does not say it itself.
        timeout: seconds after which the run fails.
        idle_after: seconds of silence after which to yield :class:`Idle`; ``None``: never.
    """

    def __init__(
        self,
        runner: CaseRunner,
        cases: Iterable[Any],
        *,
        max_concurrency: int,
        trial_count: int = 1,
        timeout: float | None = None,
        idle_after: float | None = None,
    ) -> None:
        self._runner = runner
        self._source = CaseSource(cases, trial_count)
        self._limit = max_concurrency
        self._timeout = timeout
        self._idle_after = idle_after
        self._callbacks: list[Callable[[], None]] = []
        self._channel: Channel[Event] = Channel(CHANNEL_CAPACITY, CHANNEL_ROOM)
        self._listened = 0.0
        self._lock = threading.Lock()
        self._workers = 0
        self._left = new_event()
        self._stopped = False
        self._closed = False
        self._failure: EvalsError | None = None
        self._given_up: RunError | None = None
        self.summary = RunSummary()

    def __iter__(self) -> Iterator[Event]:
        with closing(self.batches()) as batches:
            for batch in batches:
                yield from batch

    def batches(self) -> Generator[list[Event], None, None]:
        """Yield the same events, those that have happened meanwhile at once; never none."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        running: dict[str, CaseStarted] = {}
        answered: set[str] = set()
        drained = False
        try:
            self._add_worker()
            while not drained:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    message = f"the run's time-out of {self._timeout:g} seconds was reached"
                    self.give_up(RunTimeoutError(message))
                if self._given_up is not None:
                    yield list(self._abandon(running, answered, self._given_up))
                    return
                try:
                    batch = self._channel.take(_shortest(self._idle_after, remaining))
                except Empty:
                    if remaining is None or remaining > (self._idle_after or remaining):
                        yield [Idle()]
                    continue
                wait_for_turn(Turn.LISTEN)
                self._listened = time.monotonic()
                if isinstance(batch[-1], _Drained):
                    drained = True
                    batch.pop()
                for event in batch:
                    self._note(event, running, answered)
                if batch:
                    yield batch
            if self._failure is not None:
                yield [RunFailed(self._failure, self.summary)]
            else:
                yield [RunFinished(self.summary)]
        finally:
            self.close()

    def give_up(self, reason: RunError) -> None:
        """End the run before the next event; cases that are running are told of as failed.

        Args:
            reason: why; ends the run as its failure.
        """
        self._given_up = self._given_up or reason

    def wait_for_workers(self, seconds: float) -> None:
        """Wait until what is running has ended, at most for so long. Cancel it first."""
        if self._workers:
            self._left.wait(seconds)

    def close(self) -> None:
        """End the run: cancel what is running, start nothing more. May be called again."""
        with self._lock:
            first, self._closed = not self._closed, True
            idle = self._workers == 0
        if first:
            self._cut_off()
            if idle:
                self._finish()

    def stop(self) -> None:
        """Start no further case, and cancel what is running. The listener may hear it out."""
        self._stopped = True
        self._source.exhausted = True
        self._runner.cancellation.set()

    def _cut_off(self) -> None:
        """Let nobody tell anything more. The listener may go on: the run is not closed by this."""
        self.stop()
        self._channel.close()

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called once the listener and the last worker have left.

        It is called in whatever thread that happens; several are called in the order added, each
        also where the one before fails. Add them before the run is iterated over or closed.
        """
        self._callbacks.append(callback)

    def _finish(self) -> None:
        with ExitStack() as callbacks:
            for callback in reversed(self._callbacks):
                callbacks.callback(callback)
            self._source.close()

    def _note(self, event: Event, running: dict[str, CaseStarted], answered: set[str]) -> None:
        if isinstance(event, CaseStarted):
            running[event.ref.id] = event
            self._add_worker()
        elif isinstance(event, TaskFinished):
            answered.add(event.ref.id)
        elif isinstance(event, CaseFinished):
            result = event.result
            running.pop(result.ref.id, None)
            answered.discard(result.ref.id)
            result.count_in(self.summary)

    def _abandon(
        self, running: dict[str, CaseStarted], answered: set[str], reason: RunError
    ) -> Iterator[Event]:
        """Give up the cases that are running: each is told of, though its worker goes on."""
        done = self.summary.cases
        self._cut_off()
        kind = "TimeoutError" if isinstance(reason, RunTimeoutError) else type(reason).__name__
        for started in running.values():
            error = CaseError(kind, str(reason))
            if started.ref.id not in answered:
                yield TaskFinished(started.ref, None, error)
            yield CaseFinished(CaseResult(started.ref, started.case, error=error))
            self.summary.add({}, True, ())
        failure = type(reason)(f"{reason}; {done} cases were done by then")
        yield RunFailed(failure, self.summary)

    def _add_worker(self) -> None:
        if self._workers >= self._limit:  # spares most cases the lock
            return
        with self._lock:
            if self._stopped or self._source.exhausted or self._workers >= self._limit:
                return
            self._workers += 1
            number = self._workers
        try:
            start_worker(self._work, f"eval-{number}")
        except RuntimeError as error:
            # The workers that there are go on; where there are none, this is the end.
            if number == 1:
                self._fail(EvalsError(f"no worker could be started: {error}"))
            self._leave()

    def _work(self) -> None:
        try:
            while not self._stopped:
                wait_for_turn(Turn.BEGIN)
                job = self._source.take()
                if job is None:
                    break
                # An empty context: a case sees nothing of the request that asked for the run, nor
                # of the case before it.
                contextvars.Context().run(self._runner.run, *job, self._emit)
        except ChannelClosedError:
            pass
        except EvalsError as error:
            self._fail(error)
        except BaseException as error:
            logger.exception("a worker failed")
            self._fail(EvalsError(f"{type(error).__name__}: {error}"))
        finally:
            self._leave()

    def _emit(self, event: Event) -> None:
        self._channel.put(event, event.size)
        # Tasks that never wait would keep gevent from ever running the listener.
        overdue = time.monotonic() - self._listened > LISTENERS_PATIENCE
        if overdue and not isinstance(event, CaseStarted):
            time.sleep(0)

    def _fail(self, error: EvalsError) -> None:
        with self._lock:
            self._failure = self._failure or error
        self._source.exhausted = True

    def _leave(self) -> None:
        with self._lock:
            self._workers -= 1
            last, closed = self._workers == 0, self._closed
        if not last:
            return
        self._left.set()
        if closed:
            self._finish()
        else:
            self._channel.put_last(_Drained())


def _shortest(*durations: float | None) -> float | None:
    return min((each for each in durations if each is not None), default=None)

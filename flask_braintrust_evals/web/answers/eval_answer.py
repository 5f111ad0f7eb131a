"""Makes the answer of ``POST /eval`` from a run: a stream of messages, or the summary."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask_braintrust_evals.concurrency.gevent_patch import spawn
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.engine.running.run_state import RunState
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    Event,
    Idle,
    RunFailed,
    RunFinished,
)
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.errors import RunError
from flask_braintrust_evals.runs.prepared import PreparedRun
from flask_braintrust_evals.serialization.json_writing import encoded
from flask_braintrust_evals.web.monitoring.run_observer import RunObserver
from flask_braintrust_evals.web.monitoring.run_record import RunRecord

from .endings import ENDINGS
from .sending import Sending
from .stopping import GracePeriod
from .watch import RunWatch
from .wire import (
    DONE,
    CaseDetails,
    Message,
    case_message,
    case_result_messages,
    error_message,
    summary_body,
)

logger = logging.getLogger("flask_braintrust_evals")

T = TypeVar("T")


@dataclass
class EvalRun:
    """A run whose consumer is the client of a request. The caller must always close it.

    Attributes:
        prepared: the run, ready to start.
        record: says how the run has ended; it is logged then.
        grace: the time that the run has once the server is being stopped.
        heartbeat: seconds without an event after which :meth:`messages` yields an empty list.
        case_results: whether to send a message when a case starts, and one with all its results.
        case_details: what that one has beside them, and whether one with the spans follows.
        observer: takes note of what ends.
    """

    prepared: PreparedRun
    record: RunRecord
    grace: GracePeriod
    heartbeat: float
    case_results: bool = False
    case_details: CaseDetails | None = None
    observer: RunObserver = field(default_factory=RunObserver)

    def __post_init__(self) -> None:
        run = self.prepared.run
        self._watch = RunWatch(run, self.prepared.evaluator, self.grace, self.heartbeat)
        self._sending: Sending | None = None
        run.when_closed(self._end)
        if self.prepared.delivers:
            run.when_closed(self.prepared.after_uploads(ENDINGS.add(run, self.grace)))

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when the workers have ended and the spans are delivered."""
        self.prepared.run.when_closed(callback)

    def watch(self, sending: Sending | None = None) -> None:
        """Have the run ended if the server is stopped, or nobody takes the stream.

        See :meth:`RunWatch.start`.
        """
        self._sending = sending
        self._watch.start(sending)

    @property
    def is_abandoned(self) -> bool:
        """Whether its stream is lost, although the run was not closed."""
        return self._sending is not None and self._sending.is_abandoned

    def messages(self) -> Iterator[list[Message]]:
        """Run, and yield the messages of the stream, in lists of those that are ready together.

        An empty list means that ``heartbeat`` seconds have passed without an event.
        """
        if self.prepared.recording.experiment is not None:
            yield [Message("start", encoded(self.prepared.recording.description))]
        try:
            with self._batches() as batches:
                for batch in batches:
                    last = batch[-1]
                    if isinstance(last, Idle):
                        yield []
                    elif isinstance(last, RunFinished):
                        summary = yield from self._in_thread(self._finish)
                        yield [Message("summary", encoded(summary))]
                    elif isinstance(last, RunFailed):
                        self.record.failed(last.error)
                        yield from self._case_messages(batch)
                        yield from self._in_thread(self._flush_after_failure)
                        yield [error_message(str(last.error))]
                    else:
                        yield from self._case_messages(batch)
                    # Before waiting for the next one: there may be large values in it.
                    del batch, last
        except Exception:
            logger.exception("evaluator %r: the run failed", self.prepared.evaluator)
            yield [error_message("the run failed: internal error; see the server's log")]
        yield [DONE]

    def result(self, disconnected: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Run to the end and return the summary.

        Args:
            disconnected: called every ``heartbeat`` seconds. If it returns true, this raises; the
                caller then closes the run, which cancels it.

        Raises:
            EvalsError: the run failed, or the client has disconnected.
        """
        summary: dict[str, Any] = {}
        self.watch()
        next_check = time.monotonic() + self.heartbeat
        with self._batches() as batches:
            for batch in batches:
                last = batch[-1]
                if isinstance(last, RunFinished):
                    summary = self._finish()
                elif isinstance(last, RunFailed):
                    self.record.failed(last.error)
                    self._flush_after_failure()
                    raise last.error
                elif isinstance(last, Idle) or time.monotonic() >= next_check:
                    next_check = time.monotonic() + self.heartbeat
                    if disconnected():
                        raise RunError("the client disconnected before the run was done")
        return summary

    def close(self) -> None:
        """End the run unless it has ended; running cases are cancelled."""
        self._watch.stop()
        self.prepared.run.close()

    @contextmanager
    def _batches(self) -> Iterator[Iterable[list[Event]]]:
        """Run, and close the run afterwards, when the record says whether it has failed."""
        case_ended = self.observer.case_observer(self.prepared.evaluator)
        with closing(self.prepared.run.batches()) as batches:
            try:
                yield batches if case_ended is None else _observed(batches, case_ended)
            except RunError:  # noted already, or the client has left
                raise
            except Exception as error:
                self.record.failed(error)
                raise

    def _case_messages(self, batch: list[Event]) -> Iterator[list[Message]]:
        messages: list[Message] = []
        for event in batch:
            message = case_message(event, self.prepared.evaluator)
            if message is not None:
                messages.append(message)
            if self.case_results:
                messages += case_result_messages(event, self.case_details)
        if messages:
            yield messages

    def _in_thread(self, work: Callable[[], T]) -> Generator[list[Message], None, T]:
        """Run ``work`` in a thread; yield an empty list every ``heartbeat`` seconds meanwhile."""
        job: Job[T] = Job()
        try:
            spawn(functools.partial(job.run, work), "eval-end")
        except RuntimeError:  # the system has no more threads
            return work()
        while True:
            try:
                return job.wait(time.monotonic() + self.heartbeat)
            except DeadlineError:
                yield []

    def _end(self) -> None:
        # The spans of the cases that have run are also delivered if the client has disconnected.
        self.prepared.end(self.grace.time_to_end)
        left = self.grace.time_to_end
        if left is not None:  # the process ends; in all other cases nobody waits for attachments
            self.prepared.wait_for_uploads(left)
        run = self.prepared.run
        if run.state is RunState.GIVEN_UP and run.error is not None:
            self.record.failed(run.error)  # also where the client never took the event that says so
        self.record.end(run.summary, self.prepared.lost_spans, self.prepared.recording.description)
        self.observer.run_ended(self.record)

    def _flush_after_failure(self) -> None:
        left = self.grace.time_to_end
        if left is not None:
            # The process may end right after the answer: let running tasks end their spans first.
            self.prepared.run.wait_for_workers(left / 2)
        self._flush()

    def _flush(self) -> None:
        self.prepared.flush(self.grace.time_to_end)

    def _finish(self) -> dict[str, Any]:
        """Deliver the remaining spans and return the summary. Called before the run is closed."""
        self._flush()  # the Playground reads scores from the traces when it receives the summary
        body = summary_body(
            self.prepared.recording.full_description(),
            self.prepared.run.summary,
            self.prepared.recording.comparison(self.grace.time_to_end),
            self.prepared.lost_spans,
            self.prepared.notes,
        )
        self.record.outcome = "finished"
        return body


def _observed(
    batches: Iterable[list[Event]], case_ended: Callable[[CaseResult], None]
) -> Iterator[list[Event]]:
    for batch in batches:
        for event in batch:
            if isinstance(event, CaseFinished):
                case_ended(event.result)
        yield batch

"""``POST /eval``: from a run to its answer."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.engine.values.events import Event, Idle, RunFailed, RunFinished
from flask_braintrust_evals.errors import RunError
from flask_braintrust_evals.runs.prepared import PreparedRun
from flask_braintrust_evals.serialization import dumps

from .run_log import RunLog
from .stopping import GracePeriod
from .wire import (
    DONE,
    Message,
    case_messages,
    case_result_messages,
    error_message,
    summary_body,
)

logger = logging.getLogger("flask_braintrust_evals")

T = TypeVar("T")


@dataclass
class EvalRun:
    """A run whose listener is the client of a request. Close it in any case.

    Attributes:
        prepared: the run, ready to start.
        log: what is logged of it.
        grace: the time that it has once the server is being stopped.
        heartbeat: seconds of silence after which the client is told that there is nothing.
        case_results: whether the client wants to know all that came of each case.
    """

    prepared: PreparedRun
    log: RunLog
    grace: GracePeriod
    heartbeat: float
    case_results: bool = False

    def __post_init__(self) -> None:
        self.prepared.run.when_closed(self._end)

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when the run has ended, workers have left, spans are sent."""
        self.prepared.run.when_closed(callback)

    def messages(self) -> Iterator[list[Message]]:
        """Run, and yield the stream's messages, those that are there at once.

        An empty list says that nothing has happened for a while.
        """
        if self.prepared.recording.experiment is not None:
            yield [Message("start", dumps(self.prepared.recording.description))]
        try:
            for batch in self._batches():
                last = batch[-1]
                if isinstance(last, Idle):
                    yield []
                elif isinstance(last, RunFinished):
                    summary = yield from self._in_thread(self._finish)
                    yield [Message("summary", dumps(summary))]
                elif isinstance(last, RunFailed):
                    self.log.failed(last.error)
                    yield from self._case_messages(batch)
                    yield from self._in_thread(self._flush_before_the_end)
                    yield [error_message(str(last.error))]
                else:
                    yield from self._case_messages(batch)
        except Exception as error:
            self.log.failed(error)
            logger.exception("evaluator %r: the run broke", self.prepared.evaluator)
            yield [error_message("the run failed for a reason of the server's own; see its log")]
        yield [DONE]

    def result(self, gave_up: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Run to the end and return the summary.

        Args:
            gave_up: asked when nothing has happened for a while; when it returns true, the run is
                cancelled.

        Raises:
            EvalsError: the run failed, or was given up.
        """
        summary: dict[str, Any] = {}
        for batch in self._batches():
            last = batch[-1]
            if isinstance(last, RunFinished):
                summary = self._finish()
            elif isinstance(last, RunFailed):
                self.log.failed(last.error)
                self._flush_before_the_end()
                raise last.error
            elif isinstance(last, Idle) and gave_up():
                raise RunError("the client left before the run was done")
        return summary

    def close(self) -> None:
        """End the run where it has not ended; what is running is cancelled."""
        self.prepared.run.close()

    def _batches(self) -> Iterator[list[Event]]:
        with closing(self.prepared.run.batches()) as batches:
            for batch in batches:
                yield batch
                if self.grace.is_over():
                    self.prepared.run.give_up(self.grace.reason())

    def _case_messages(self, batch: list[Event]) -> Iterator[list[Message]]:
        messages: list[Message] = []
        for event in batch:
            messages += case_messages(event, self.prepared.evaluator)
            if self.case_results:
                messages += case_result_messages(event)
        if messages:
            yield messages

    def _in_thread(self, work: Callable[[], T]) -> Generator[list[Message], None, T]:
        """Run ``work`` in a thread; yield an empty batch every ``heartbeat`` seconds until then."""
        job: Job[T] = Job()
        start_thread(functools.partial(job.run, work), "eval-end")
        while True:
            try:
                return job.wait(time.monotonic() + self.heartbeat)
            except DeadlineError:
                yield []

    def _end(self) -> None:
        # When a client leaves, the spans of what had run by then are still delivered.
        self.prepared.end(self.grace.time_to_end)
        self.log.write(self.prepared.run.summary, self.prepared.lost_spans)

    def _flush_before_the_end(self) -> None:
        left = self.grace.time_to_end
        if left is not None:
            # After the answer the process may end at once, and with it what still ends its spans.
            self.prepared.run.wait_for_workers(left / 2)
        self._flush()

    def _flush(self) -> None:
        self.prepared.flush(self.grace.time_to_end)

    def _finish(self) -> dict[str, Any]:
        """Deliver what is left, and return the summary. Called before the run closes."""
        self._flush()  # the page looks for scores in the traces as soon as it has the summary
        body = summary_body(
            self.prepared.recording.description,
            self.prepared.run.summary,
            self.prepared.recording.comparison(),
            self.prepared.lost_spans,
        )
        self.log.outcome = "finished"
        return body

"""The cases that an owner has ordered, and the attempts at each of them."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, RunOrder
from flask_braintrust_evals.distribution.messaging.reports import Report
from flask_braintrust_evals.errors import EvalsError, WorkersError

logger = logging.getLogger("flask_braintrust_evals")

MAX_LOSSES = 3
"""Attempts at a case that may be lost. A case that kills its process is not tried for ever."""
MAX_GIVEN_UP = 10
"""Attempts at a case that workers may give up, because they hear nothing of the owner, or are ended
by who runs them. The case is not to blame."""
MAX_WAITING_PROGRESS = 1_000_000
"""Characters of a case's progress that may wait for a client that reads slowly."""
BATCH_SECONDS = 0.05
"""Cases that take less than this together are sent in one order."""
QUICK_SECONDS = 0.02
"""Mean duration of a run's cases below which they are sent together."""
MAX_BATCH = 50
"""Cases that one order may have."""


class CaseLostError(EvalsError):
    """A case could not be run: it is too large for a message, or no process survived it."""


class CaseCancelledError(EvalsError):
    """The run of a case was cancelled before a worker reported its result."""


class OpenCase:
    """A case that is ordered, and not done.

    Attributes:
        run: its run.
        order: the current attempt.
        job: ends with the outcome.
        ordered_at: when it was first to be ordered. All times are those of ``time.monotonic()``.
        losses: attempts that were lost.
        given_up: attempts that their workers have given up.
        repeats: how often it was sent again because its order seems to be lost.
        sent: the last attempt that the broker has.
        sent_at: when the current attempt was sent; ``None``: it has not been.
        is_alone: whether the current attempt is alone in its order.
        started_at: when a worker reported that it starts; ``None``: none has.
        has_output: whether what the task gave in the current attempt was reported.
        process: the process that runs it.
        heard_at: when that process last named it.
        overtaken_at: when it was noticed that a later one has started.
        resend_at: when to send it again; ``None``: it is sent.
    """

    def __init__(self, run: OrderedRun, order: CaseOrder, job: Job[Any]) -> None:
        self.run = run
        self.order = order
        self.job = job
        self.ordered_at = time.monotonic()
        self.losses = 0
        self.given_up = 0
        self.repeats = 0
        self.sent = 0
        self.sent_at: float | None = None
        self.is_alone = False
        self.started_at: float | None = None
        self.has_output = False
        self.process = ""
        self.heard_at = 0.0
        self.overtaken_at: float | None = None
        self.resend_at: float | None = None
        # Each is written by one thread alone.
        self._posted_progress = 0
        self._received_progress = 0
        self._leaves_out_progress = False

    @property
    def attempt(self) -> int:
        """The number of the current attempt."""
        return self.order.attempt

    def next_attempt(self) -> None:
        """Give the current attempt up, and make another one, which is to be sent."""
        self.order = dataclasses.replace(self.order, attempt=self.attempt + 1)
        self.sent_at = self.started_at = self.overtaken_at = self.resend_at = None
        self.has_output, self.process = False, ""

    def runs_in_other(self, process: str, lease: float) -> bool:
        """Return whether another process than ``process`` runs the current attempt."""
        if self.started_at is None or process == self.process:
            return False
        return time.monotonic() - self.heard_at < lease

    def post_progress(self, report: Report) -> None:
        """Pass progress on, unless too much of it waits."""
        size = _size(report)
        if self._posted_progress - self._received_progress + size <= MAX_WAITING_PROGRESS:
            self._posted_progress += size
            self.job.post(report)
        elif not self._leaves_out_progress:
            self._leaves_out_progress = True
            logger.warning("a client reads too slowly: progress of a case is left out")

    def progress_received(self, report: Report) -> None:
        """Note that progress was taken by the one who waits for the case."""
        self._received_progress += _size(report)


class OrderedRun:
    """A run whose cases are ordered.

    Attributes:
        order: what all of its orders have in common.
        window: cases that may be under way at a time.
        receive_spans: takes encoded spans that end when their case is done.
        began_at: when it last had a case after a time without any.
        cases: those that are ordered and not done, by their number.
        is_cancelled: whether it was cancelled.
        refused_since: when a worker first refused it, since one last ran a case of it.
        refused_at: when each worker last refused it, by its name.
        failure: why no case of it can be run; ``None``: that is not known.
    """

    def __init__(self, order: RunOrder, window: int, receive_spans: Callable[[Any], None]) -> None:
        self.order = order
        self.window = window
        self.receive_spans = receive_spans
        self.began_at = time.monotonic()
        self.cases: dict[int, OpenCase] = {}
        self.is_cancelled = False
        self.refused_since: float | None = None
        self.refused_at: dict[str, float] = {}
        self.failure: WorkersError | None = None
        self._seconds = math.inf

    def note_duration(self, seconds: float) -> None:
        """Note how long a case took."""
        known = math.isfinite(self._seconds)
        self._seconds = 0.7 * self._seconds + 0.3 * seconds if known else seconds

    def batch_size(self, slots: int) -> int:
        """Return how many cases to send in one order.

        One by one until the first is done, and where that does not leave two orders for each slot.
        """
        if self._seconds > QUICK_SECONDS:
            return 1
        by_time = int(BATCH_SECONDS / max(self._seconds, 1e-6))
        return max(1, min(by_time, MAX_BATCH, self.window // (2 * max(1, slots))))


def _size(report: Report) -> int:
    return len(report.content.get("data", ""))

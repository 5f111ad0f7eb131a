"""The cases that an owner has ordered, and the attempts at each of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.errors import EvalsError

from .orders import CaseOrder, RunOrder
from .reports import Report

MAX_LOSSES = 3
"""Attempts at a case that may be lost. A case that kills its process is not tried for ever."""
MAX_WAITING_PROGRESS = 1_000_000
"""Characters of a case's progress that may wait for a client that reads slowly."""
BATCH_SECONDS = 0.05
"""Cases that take less than this together are sent in one order."""
QUICK_SECONDS = 0.02
"""Mean duration of a run's cases below which they are sent together."""
MAX_BATCH = 50


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
        losses: attempts that were lost.
        sent_at: when the current attempt was sent; ``None``: it has not been. All times are those
            of ``time.monotonic()``.
        started_at: when a worker reported that it starts; ``None``: none has.
        process: the process that runs it.
        heard_at: when that process last named it.
        overtaken_at: when it was noticed that a later one has started.
        resend_at: when to send it again; ``None``: it is sent.
        has_output: whether the output of the task was reported, by any attempt.
    """

    def __init__(self, run: OrderedRun, order: CaseOrder, job: Job[Any]) -> None:
        self.run = run
        self.order = order
        self.job = job
        self.losses = 0
        self.sent_at: float | None = None
        self.started_at: float | None = None
        self.process = ""
        self.heard_at = 0.0
        self.overtaken_at: float | None = None
        self.resend_at: float | None = None
        self.has_output = False
        self._waiting_progress = 0

    @property
    def attempt(self) -> int:
        """The number of the current attempt."""
        return self.order.attempt

    def next_attempt(self) -> None:
        """Give the current attempt up, and make another one, which is to be sent."""
        self.order = dataclasses.replace(self.order, attempt=self.attempt + 1)
        self.sent_at = self.started_at = self.overtaken_at = self.resend_at = None
        self.process = ""

    def post_progress(self, report: Report) -> bool:
        """Pass progress on, unless too much of it waits; return whether it was."""
        size = len(str(report.content))
        if self._waiting_progress + size > MAX_WAITING_PROGRESS:
            return False
        self._waiting_progress += size
        self.job.post(report)
        return True

    def progress_received(self, report: Report) -> None:
        """Note that progress was taken by the one who waits for the case."""
        self._waiting_progress -= len(str(report.content))


class OrderedRun:
    """A run whose cases are ordered.

    Attributes:
        order: what all of its orders have in common.
        window: cases that may be under way at a time.
        receive_spans: takes encoded spans that end when their case is done.
        cases: those that are under way, by their number.
        cancelled_at: when it was cancelled; ``None``: it has not been.
        refused_at: when a worker first refused it, since one last started a case of it.
        failure: why no case of it can be run; ``None``: that is not known.
    """

    def __init__(self, order: RunOrder, window: int, receive_spans: Callable[[Any], None]) -> None:
        self.order = order
        self.window = window
        self.receive_spans = receive_spans
        self.cases: dict[int, OpenCase] = {}
        self.cancelled_at: float | None = None
        self.refused_at: float | None = None
        self.failure: EvalsError | None = None
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

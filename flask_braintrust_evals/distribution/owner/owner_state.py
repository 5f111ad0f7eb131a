"""The state that the threads of an owner share: its runs, and what is known of workers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from flask_braintrust_evals.concurrency.gevent_patch import new_event, new_lock
from flask_braintrust_evals.distribution.messaging.notices import NoticeBoard
from flask_braintrust_evals.distribution.messaging.transport import Transport, WorkerInfo
from flask_braintrust_evals.errors import EvalsError, WorkersError

from .attempts import CaseCancelledError, OpenCase, OrderedRun
from .known_workers import KnownWorkers
from .supervision import Supervision


class OwnerState:
    """The state of a process that orders cases.

    A case is among those of its run until its outcome is known. Whoever takes it out ends its job:
    so each ends once, whatever else is reported of it.

    Attributes:
        reply_to: the name of the queue that reports go to.
        lock: held while the rest is read or changed, and never while anything is waited for. Jobs
            wait for locks of their own, so that none is used meanwhile.
        runs: the runs that have ordered a case and are not closed, by their id.
        workers: what is known of worker processes.
        supervision: what becomes of attempts.
        notices: collects what the next notice says to all workers.
        hello: set when a worker says hello.
        pong: set when a message of this process to itself has arrived.
    """

    def __init__(self, transport: Transport, lease: float) -> None:
        self.reply_to = f"{transport.queue}.reply.{secrets.token_hex(16)}"
        self.lock = new_lock()
        self.runs: dict[str, OrderedRun] = {}
        self.workers = KnownWorkers()
        self.supervision = Supervision(
            lease, self.workers, transport.advice, transport.queue, transport.address
        )
        self.notices = NoticeBoard(self.reply_to, repeat_for=lease * 2)
        self.hello = new_event()
        self.pong = new_event()

    def add(self, case: OpenCase) -> bool:
        """Add a case that is to be ordered; return whether it is the first one of its run.

        Raises:
            CaseCancelledError: the run was cancelled.
            WorkersError: no case of the run can be run.
        """
        run = case.run
        with self.lock:
            if run.failure is not None:
                raise WorkersError(str(run.failure))
            if run.is_cancelled:
                raise CaseCancelledError("the run was cancelled")
            run.cases[case.order.number] = case
            if run.order.run not in self.runs:
                run.began_at = time.monotonic()
            known = self.runs.setdefault(run.order.run, run)
            return known is run and len(run.cases) == 1

    def ordered_cases(self) -> dict[str, int]:
        """Return how many cases are ordered: ``waiting``, and ``running`` on a worker."""
        with self.lock:
            cases = [case for run in self.runs.values() for case in run.cases.values()]
        running = sum(case.started_at is not None for case in cases)
        return {"waiting": len(cases) - running, "running": running}

    def take_out(self, case: OpenCase) -> bool:
        """Take a case out, whose job the caller is to end; return false if that was done before."""
        number = case.order.number
        with self.lock:
            if case.run.cases.get(number) is not case:
                return False
            del case.run.cases[number]
            return True

    def succeed(self, case: OpenCase, outcome: Mapping[str, Any]) -> None:
        """End a case with its outcome, unless it has ended."""
        if self.take_out(case):
            case.job.succeed(outcome)

    def fail(self, case: OpenCase, error: EvalsError) -> None:
        """End a case with a failure, unless it has ended."""
        if self.take_out(case):
            case.job.fail(error)

    def fail_run(self, run: OrderedRun, error: WorkersError) -> None:
        """Have all cases of a run fail, also those that are still to be ordered."""
        with self.lock:
            run.failure = run.failure or error
            cases = list(run.cases.values())
        for case in cases:
            self.fail(case, WorkersError(str(error)))  # each waiting thread raises one of its own

    def cancel(self, run: OrderedRun) -> bool | None:
        """Cancel a run. Its cases that no worker has started end.

        Returns:
            whether others are left; ``None``: it was cancelled before, or has ordered nothing.
        """
        with self.lock:
            if run.is_cancelled:
                return None
            run.is_cancelled = True
            if run.order.run not in self.runs:
                return None
            waiting = [case for case in run.cases.values() if case.started_at is None]
            has_started = len(waiting) < len(run.cases)
        self.fail_cancelled(waiting)
        return has_started

    def remove(self, run: OrderedRun) -> None:
        """Forget a run that is cancelled."""
        with self.lock:
            self.runs.pop(run.order.run, None)
            cases = list(run.cases.values())
        self.fail_cancelled(cases)

    def fail_cancelled(self, cases: list[OpenCase]) -> None:
        """End cases of a run that was cancelled."""
        for case in cases:
            self.fail(case, CaseCancelledError("the run was cancelled"))

    def has_heard(self, seconds: float) -> bool:
        """Return whether any worker was heard of in the last seconds."""
        with self.lock:
            return time.monotonic() - self.workers.heard_at < seconds

    def said_hello_since(self, began: float) -> list[WorkerInfo]:
        """Return the workers that have said hello since a time of ``time.monotonic()``."""
        with self.lock:
            return self.workers.said_hello_since(began)

"""What the threads of an owner share: its runs, and what it knows of workers."""

from __future__ import annotations

import secrets
import time

from flask_braintrust_evals.concurrency.gevent_patch import new_event, new_lock
from flask_braintrust_evals.errors import EvalsError

from .attempts import OpenCase, OrderedRun
from .notices import NoticeBoard
from .supervision import Supervision
from .transport import Transport, WorkerInfo

HEARD_LATELY = 60.0
"""Seconds for which a worker that was heard of is taken to be there."""


class OwnerState:
    """The state of a process that orders cases.

    Attributes:
        reply_to: the name of the queue that reports go to.
        lock: held while the rest is read or changed, and never while anything is waited for.
        runs: the runs that are under way, by their id.
        workers: what each process last said of itself, and when, by the process.
        supervision: what becomes of attempts.
        notices: what is to be told to all workers.
        hello: set when a worker says hello.
        pong: set when a message of this process to itself has arrived.
        unheard_pings: such messages that have not.
    """

    def __init__(self, transport: Transport, lease: float) -> None:
        self.reply_to = f"{transport.queue}.reply.{secrets.token_hex(16)}"
        self.lock = new_lock()
        self.runs: dict[str, OrderedRun] = {}
        self.workers: dict[str, tuple[float, WorkerInfo]] = {}
        self.supervision = Supervision(lease, transport.advice, transport.queue)
        self.notices = NoticeBoard(self.reply_to, repeat_for=lease * 2)
        self.hello = new_event()
        self.pong = new_event()
        self.unheard_pings = 0

    def has_heard(self, seconds: float) -> bool:
        """Return whether any worker was heard of in the last seconds."""
        limit = time.monotonic() - seconds
        with self.lock:
            return any(at > limit for at in self.supervision.heard_at.values())

    def said_hello_since(self, began: float) -> list[WorkerInfo]:
        """Return the workers that have said hello since a time of ``time.monotonic()``."""
        with self.lock:
            return [info for at, info in self.workers.values() if at >= began]

    def slots(self) -> int:
        """Return how many cases all workers run at a time, as far as they have said."""
        limit = time.monotonic() - HEARD_LATELY
        with self.lock:
            heard = self.supervision.heard_at
            return sum(
                info.slots
                for process, (_, info) in self.workers.items()
                if heard.get(process, 0.0) > limit
            )

    def waits_for_workers(self) -> bool:
        """Return whether there is a case that no worker has started."""
        with self.lock:
            return any(
                case.started_at is None for run in self.runs.values() for case in run.cases.values()
            )

    def fail_run(self, run: OrderedRun, error: EvalsError) -> None:
        """Have all cases of a run fail, also those that are still to be ordered."""
        with self.lock:
            run.failure = error
            cases: list[OpenCase] = list(run.cases.values())
        for case in cases:
            case.job.fail(error)

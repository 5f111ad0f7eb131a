"""The rules of time: what the owner of runs does about attempts that it hears nothing of."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from flask_braintrust_evals.errors import EvalsError, WorkersError

from .attempts import MAX_LOSSES, CaseCancelledError, CaseLostError, OpenCase, OrderedRun

CANCEL_SECONDS = 3.0
"""Seconds that workers have to report the cases of a run that was cancelled."""
REFUSED_SECONDS = 30.0
"""Seconds for which a run is sent again that workers with other code refuse."""
REFUSED_PAUSE = 1.0
"""Seconds after a refusal before a case is sent again."""
NO_WORKER_SECONDS = 30.0
"""Seconds without a sign of any worker after which waiting cases fail."""


@dataclass(frozen=True)
class Actions:
    """What the supervision has done, for its owner to carry out without its lock.

    Attributes:
        resend: cases to send again.
        fail: cases that have failed, with the reason.
        drop: attempts that are not wanted any more: the case and the attempt.
    """

    resend: list[OpenCase]
    fail: list[tuple[OpenCase, EvalsError]]
    drop: list[tuple[OpenCase, int]]


class Supervision:
    """Decides what becomes of attempts. Its caller holds a lock while it calls.

    Args:
        lease: seconds without a sign of life after which an attempt is lost.
        advice: the command that starts a worker.
        queue: the name of the queue of orders.
    """

    def __init__(self, lease: float, advice: str, queue: str) -> None:
        self.lease = lease
        self._advice = advice
        self._queue = queue
        self._last_started_sent_at = 0.0
        self._recover_at: float | None = None
        self._recover_from = 0.0
        self.heard_at: dict[str, float] = {}
        """When each process was last heard of."""

    def note_started(self, case: OpenCase, process: str) -> None:
        """Note that a worker starts an attempt."""
        now = time.monotonic()
        case.started_at = case.heard_at = now
        case.process, case.overtaken_at = process, None
        case.run.refused_at = None
        self._last_started_sent_at = max(self._last_started_sent_at, case.sent_at or 0.0)

    def note_refused(self, case: OpenCase, reason: str) -> EvalsError | None:
        """Have a refused case sent again after a pause; return why the run fails, if it does."""
        now = time.monotonic()
        run = case.run
        if run.refused_at is None:
            run.refused_at = now
        if now - run.refused_at > REFUSED_SECONDS:
            return WorkersError(reason)
        case.next_attempt()
        case.resend_at = now + REFUSED_PAUSE
        return None

    def note_lost(self, case: OpenCase, reason: str) -> EvalsError | None:
        """Count a loss; return why the case has failed, or ``None`` if it is to be sent again."""
        if case.started_at is not None:  # others had only been waiting behind the one that died
            case.losses += 1
        if case.losses >= MAX_LOSSES:
            return CaseLostError(
                f"the worker process that ran this case was lost {case.losses} times; the last time"
                f" {reason}"
            )
        case.next_attempt()
        return None

    def note_reconnected(self) -> None:
        """Have everything sent again that nobody names soon: the broker may have lost it."""
        self._recover_from = time.monotonic()
        self._recover_at = self._recover_from + self.lease * 2 / 3

    def check(self, runs: Iterable[OrderedRun]) -> Actions:
        """Look at all open cases."""
        actions = Actions([], [], [])
        now = time.monotonic()
        recovering = self._recover_at is not None
        recovers_now = self._recover_at is not None and now >= self._recover_at
        if recovers_now:
            self._recover_at = None
        heard_at = max(self.heard_at.values(), default=0.0)
        for run in runs:
            for case in list(run.cases.values()):
                if run.cancelled_at is not None:
                    self._check_cancelled(case, run.cancelled_at, now, actions)
                elif case.resend_at is not None:
                    if now >= case.resend_at:
                        case.resend_at = None
                        actions.resend.append(case)
                elif case.sent_at is None:
                    continue
                elif recovers_now and not self._was_named(case):
                    self._again(case, actions)
                elif recovering:
                    continue  # silence is the broker's fault
                elif case.started_at is not None:
                    if now - case.heard_at > self.lease:
                        self._silent(case, actions)
                elif self._is_overtaken(case, now):
                    self._again(case, actions)
                elif now - max(case.sent_at, heard_at) > NO_WORKER_SECONDS:
                    actions.fail.append((case, self.no_workers()))
        return actions

    def no_workers(self) -> WorkersError:
        """Return the error for a run that no worker takes cases of."""
        return WorkersError(
            f"no worker takes cases from the queue {self._queue!r}: start one with `{self._advice}`"
        )

    def _was_named(self, case: OpenCase) -> bool:
        return case.started_at is not None and case.heard_at > self._recover_from

    def _again(self, case: OpenCase, actions: Actions) -> None:
        actions.drop.append((case, case.attempt))
        case.next_attempt()
        actions.resend.append(case)

    def _silent(self, case: OpenCase, actions: Actions) -> None:
        actions.drop.append((case, case.attempt))
        reason = f"{case.process} was not heard of for {self.lease:g} seconds"
        error = self.note_lost(case, reason)
        if error is None:
            actions.resend.append(case)
        else:
            actions.fail.append((case, error))

    def _is_overtaken(self, case: OpenCase, now: float) -> bool:
        """Return whether later ones have started for so long that this one must be lost.

        Workers take orders in their order, and one at a time.
        """
        if (case.sent_at or 0.0) >= self._last_started_sent_at:
            return False
        if case.overtaken_at is None:
            case.overtaken_at = now
        return now - case.overtaken_at > self.lease

    @staticmethod
    def _check_cancelled(case: OpenCase, cancelled_at: float, now: float, actions: Actions) -> None:
        # One that has not started will not: workers are told first.
        if case.started_at is None or now - cancelled_at > CANCEL_SECONDS:
            actions.fail.append((case, CaseCancelledError("the run was cancelled")))

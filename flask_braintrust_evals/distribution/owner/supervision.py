"""Decides when the owner of runs orders attempts again, or gives them up."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from flask_braintrust_evals.errors import EvalsError, WorkersError

from .attempts import MAX_GIVEN_UP, MAX_LOSSES, CaseLostError, OpenCase, OrderedRun
from .known_workers import KnownWorkers

REFUSED_SECONDS = 30.0
"""Seconds for which the cases of a run are sent again that all workers refuse that are not busy."""
REFUSED_PAUSE = 1.0
"""Seconds after a refusal before a case is sent again."""
NO_WORKER_SECONDS = 30.0
"""Seconds without a sign of any worker after which waiting cases fail."""
STUCK_SECONDS = 300.0
"""Seconds after which runs fail, or four leases if that is longer, while the broker is away, or all
workers that are heard of wait for cases and take none. Celery may need four minutes to notice that
its connection to RabbitMQ is dead."""
MAX_REPEATS = 5
"""How often the time is doubled after which an order is taken to be lost once more."""

Failure = tuple[OpenCase, EvalsError]
"""A case that has failed, and the reason."""


@dataclass(frozen=True)
class Actions:
    """The decisions of the supervision, for its owner to carry out without its lock.

    Attributes:
        resend: cases to send again.
        fail: cases that have failed.
        drop: attempts that are not wanted any more: the case and the attempt.
    """

    resend: list[OpenCase] = field(default_factory=list)
    fail: list[Failure] = field(default_factory=list)
    drop: list[tuple[OpenCase, int]] = field(default_factory=list)


class Supervision:
    """Decides what becomes of attempts. Its caller holds a lock while it calls.

    Nothing is concluded from silence while the owner does not hear itself: then it is the broker
    that is silent, and not a worker.

    Args:
        lease: seconds without a sign of life after which an attempt is lost.
        workers: what is known of worker processes.
        advice: the command that starts a worker.
        queue: the name of the queue of orders.
        address: where the broker is, without a password.

    Attributes:
        lease: see above.
        heard_itself_at: when a message of the owner to itself last arrived.
    """

    def __init__(
        self, lease: float, workers: KnownWorkers, advice: str, queue: str, address: str
    ) -> None:
        self.lease = lease
        self.heard_itself_at = -math.inf
        self._workers = workers
        self._advice = advice
        self._queue = queue
        self._address = address
        self._last_started_at = -math.inf
        self._last_started_sent_at = -math.inf
        self._recover_at: float | None = None
        self._recover_from = 0.0
        self._reconnected_at = 0.0

    def note_started(self, case: OpenCase, process: str) -> None:
        """Note that a worker starts an attempt."""
        now = time.monotonic()
        case.started_at = case.heard_at = self._last_started_at = now
        case.process, case.overtaken_at = process, None
        case.run.refused_since = None
        if case.sent_at is not None:
            self._last_started_sent_at = max(self._last_started_sent_at, case.sent_at)
        self._workers.note_busy(process)

    def note_refused(self, case: OpenCase, reason: str, process: str) -> WorkersError | None:
        """Have a refused case sent again after a pause; return why the run fails, if it does."""
        now = time.monotonic()
        run = case.run
        run.refused_at[self._workers.name_of(process)] = now
        # Those that may take it have as long again from the time when they are no longer busy: with
        # cases of the run, or, in a rolling deployment, those with the new code with other runs.
        if (
            run.refused_since is None
            or any(c.started_at is not None for c in run.cases.values())
            or self._workers.has_untried(run.order.evaluator, run.refused_at)
        ):
            run.refused_since = now
        # Within the lease, those that are busy have said so.
        if now - run.refused_since > max(REFUSED_SECONDS, self.lease):
            return WorkersError(reason)
        case.next_attempt()
        case.resend_at = now + REFUSED_PAUSE
        return None

    def note_lost(self, case: OpenCase, reason: str) -> EvalsError | None:
        """Count a loss; return why the case has failed, or ``None`` if it is to be sent again.

        One that had only been waiting in one order with the case whose process died is not to
        blame. One that was alone in its order is, also if nobody heard that it had started.
        """
        if case.started_at is not None or case.is_alone:
            case.losses += 1
        if case.losses >= MAX_LOSSES:
            return CaseLostError(
                f"the worker process that ran this case was lost {case.losses} times; the last time"
                f" {reason}"
            )
        case.next_attempt()
        return None

    def note_given_up(self, case: OpenCase, reason: str) -> EvalsError | None:
        """Count that a worker gave an attempt up; see :meth:`note_lost`."""
        case.given_up += 1
        if case.given_up >= MAX_GIVEN_UP:
            return CaseLostError(
                f"workers gave this case up {case.given_up} times; the last time {reason}"
            )
        case.next_attempt()
        return None

    def note_reconnected(self) -> None:
        """Have everything sent again that nobody names soon: the broker may have lost it.

        Workers have two thirds of the lease to name what they run. If the connection is lost again
        meanwhile, they have as long again, but no more than twice as long in all: a connection may
        be lost so often that the time would never be up.
        """
        self._reconnected_at = time.monotonic()
        soon = self._reconnected_at + self.lease * 2 / 3
        if self._recover_at is None:
            self._begin_recovery()
        else:
            self._recover_at = min(soon, self._recover_from + self.lease * 4 / 3)

    def _begin_recovery(self) -> None:
        self._recover_from = self._reconnected_at
        self._recover_at = self._recover_from + self.lease * 2 / 3

    def seems_stalled(self, runs: Iterable[OrderedRun]) -> bool:
        """Return whether cases are refused, or wait for workers and none starts for some time."""
        if any(run.refused_since is not None for run in runs):
            return True
        limit = time.monotonic() - self.lease * 2 / 3
        return self._last_started_at < limit and any(
            case.started_at is None and case.sent_at is not None and case.sent_at < limit
            for run in runs
            for case in run.cases.values()
        )

    def check(self, runs: Iterable[OrderedRun]) -> Actions:
        """Look at all open cases."""
        actions = Actions()
        now = time.monotonic()
        recovers_now = self._recover_at is not None and now >= self._recover_at
        if recovers_now:
            self._recover_at = None
        for run in runs:
            if run.is_cancelled:
                continue
            for case in run.cases.values():
                if case.resend_at is not None:
                    if now >= case.resend_at:
                        case.resend_at = None
                        actions.resend.append(case)
                elif case.sent_at is None:
                    continue
                elif recovers_now and not self._was_named(case):
                    self._again(case, actions)
                elif self._recover_at is None:
                    self._check(case, case.sent_at, actions)
        if recovers_now and self._reconnected_at > self._recover_from:
            self._begin_recovery()
        return actions

    def check_broker(self, runs: Iterable[OrderedRun]) -> list[Failure]:
        """Return the cases that fail since the broker is away for too long, connected or not."""
        limit = time.monotonic() - self._stuck_seconds
        error = WorkersError(
            f"the broker at {self._address} has passed no message on for {self._stuck_seconds:g}"
            " seconds, and the run cannot go on without it"
        )
        late = [run for run in runs if max(self.heard_itself_at, run.began_at) < limit]
        return [(case, error) for run in late for case in run.cases.values()]

    def no_workers(self) -> WorkersError:
        """Return the error for a run that no worker takes cases of."""
        return WorkersError(
            f"no worker takes cases from the queue {self._queue!r}: start one with"
            f" `{self._advice}`; one that runs needs the broker, the SECRET_KEY and the"
            " BRAINTRUST_EVALS_EXECUTOR of this process, and its log says why it runs none"
        )

    def _check(self, case: OpenCase, sent_at: float, actions: Actions) -> None:
        # Until when everything that workers have said has arrived, as far as is known.
        known = min(time.monotonic(), self.heard_itself_at + self.lease / 2)
        if case.started_at is not None:
            if known - case.heard_at > self.lease:
                self._silent(case, actions)
        elif self._is_stuck(case, known):
            actions.fail.append((case, self._taken_by_nobody()))
        elif self._is_overtaken(case, sent_at, known) or self._is_left_out(case, sent_at, known):
            case.repeats += 1
            self._again(case, actions)
        elif known - max(sent_at, self._workers.heard_at) > NO_WORKER_SECONDS:
            actions.fail.append((case, self.no_workers()))

    def _taken_by_nobody(self) -> WorkersError:
        return WorkersError(
            f"workers say that they wait for cases, but take none from the queue {self._queue!r}:"
            " their main processes may be stopped, or may no longer consume it. See `celery inspect"
            " active_queues`, and restart them"
        )

    def _was_named(self, case: OpenCase) -> bool:
        if case.sent_at is not None and case.sent_at > self._recover_from:
            return True  # by this process itself
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

    def _is_overtaken(self, case: OpenCase, sent_at: float, known: float) -> bool:
        """Return whether later ones have started for so long that this one must be lost.

        Workers take orders in their order, and one at a time.
        """
        if sent_at >= self._last_started_sent_at:
            return False
        if case.overtaken_at is None:
            case.overtaken_at = time.monotonic()
        return known - case.overtaken_at > self.lease

    def _is_left_out(self, case: OpenCase, sent_at: float, known: float) -> bool:
        """Return whether a worker waits for cases, and has not got this one for long.

        A worker that has taken an order and dies before it says so takes the order with it. Where
        workers wait although the queue is not empty, each further time is twice as long.
        """
        limit = self.lease * 2 ** min(case.repeats, MAX_REPEATS)
        if known - max(sent_at, self._last_started_at, case.heard_at) <= limit:
            return False
        return self._has_idle(case, known)

    def _is_stuck(self, case: OpenCase, known: float) -> bool:
        """Return whether workers wait for cases, run none, and have taken none for very long."""
        if known - max(case.ordered_at, self._last_started_at) <= self._stuck_seconds:
            return False
        return self._has_idle(case, known) and not self._workers.has_busy(known - self.lease)

    def _has_idle(self, case: OpenCase, known: float) -> bool:
        beat = self.lease / 3
        return self._workers.has_idle(case.run.order.evaluator, known - beat, known - 2 * beat)

    @property
    def _stuck_seconds(self) -> float:
        return max(STUCK_SECONDS, 4 * self.lease)

"""Sends orders and notices, on the thread that an owner has for that."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable

from flask_braintrust_evals.distribution.messaging.links import LinkLostError, Outbox
from flask_braintrust_evals.distribution.messaging.messages import (
    MessageTooLargeError,
    MessageWriter,
)
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, order_content
from flask_braintrust_evals.distribution.messaging.reports import Report
from flask_braintrust_evals.distribution.messaging.transport import Sender, Transport
from flask_braintrust_evals.errors import EvalsError, WorkersError

from .attempts import CaseLostError, OpenCase
from .owner_state import OwnerState
from .supervision import Failure

TICK = 0.25
"""Seconds between two looks at the cases that are under way."""
IDLE_TICK = 5.0
"""The same while there is no run."""
ANNOUNCED_SECONDS = 0.2
"""Seconds after a notice in which workers need no other one to know this process."""
MAX_SILENT_BEATS = 2
"""Beats without any message to a process, though it has sent one to itself, after which the broker
is taken to be silent."""

_Attempt = tuple[OpenCase, CaseOrder]


class OrderSender(Outbox[OpenCase]):
    """Sends the orders of a process.

    Args:
        state: the owner's.
        transport: the broker.
        writer: signs the messages.
        beat: seconds between two notices.
        reconnect: called when the broker does not pass messages on: has the other thread of the
            owner connect again.
    """

    def __init__(
        self,
        state: OwnerState,
        transport: Transport,
        writer: MessageWriter,
        beat: float,
        reconnect: Callable[[], None],
    ) -> None:
        super().__init__(transport, "orders")
        self._state = state
        self._writer = writer
        self._beat = beat
        self._reconnect = reconnect
        self._next_beat = 0.0
        self._beat_at = -ANNOUNCED_SECONDS
        self._unheard_since: float | None = None
        self._apart = 0  # the first that wait are sent one by one: they are too large together

    def send_notice_now(self) -> None:
        """Have a notice sent before the next order. Never waits."""
        self._next_beat = 0.0
        self.wake()

    def announce(self) -> None:
        """Have workers hear of this process before its next order, unless they just have."""
        if time.monotonic() - self._beat_at > ANNOUNCED_SECONDS:
            self.send_notice_now()

    def reconnect(self) -> None:
        """Have both connections made anew."""
        self._unheard_since = -math.inf
        self.send_notice_now()

    def note_heard(self) -> None:
        """Note that a message has arrived in the queue of this process."""
        self._unheard_since = None

    # --- On the thread ---

    def connected(self, again: bool) -> None:
        self._next_beat = 0.0
        self._unheard_since = None
        if again:
            with self._state.lock:
                self._state.supervision.note_reconnected()

    def deliver(self, sender: Sender, waiting: deque[OpenCase]) -> None:
        if self._next_beat == 0.0:
            self._send_beat(sender)
        with self._state.lock:
            taken, cases = self._next_order(waiting)
        if cases and not self._send_order(sender, cases):
            self._apart = taken
            return
        self._apart = max(0, self._apart - taken)
        for _ in range(taken):
            waiting.popleft()

    def _next_order(self, waiting: deque[OpenCase]) -> tuple[int, list[_Attempt]]:
        """Return the cases that go into the next order, and how many are done with them.

        They are of one run, and were never sent before: one that was lost may be the one that kills
        the process, with all others in the same order.
        """
        taken, cases = 0, list[_Attempt]()
        size = 1
        for case in waiting:
            is_other = cases and (case.run is not cases[0][0].run or case.attempt > 1)
            if is_other or len(cases) == size:
                break
            taken += 1
            is_open = case.run.cases.get(case.order.number) is case and not case.run.is_cancelled
            if not is_open or case.sent >= case.attempt:
                continue
            if not cases:
                size = 1 if self._apart else case.run.batch_size(self._state.workers.slots())
            cases.append((case, case.order))
            if case.attempt > 1:
                break
        return taken, cases

    def _send_order(self, sender: Sender, cases: list[_Attempt]) -> bool:
        """Send an order, or have its only case fail; return ``False`` if it is to be split."""
        try:
            orders = [order for _, order in cases]
            message = self._writer.write("order", order_content(cases[0][0].run.order, orders))
            self._note_sent(cases)  # before it is sent: a report may come at once
            sender.send_order(message)
        except EvalsError as error:
            if len(cases) > 1:
                return False
            too_large = isinstance(error, MessageTooLargeError)
            what = "is too large to be sent" if too_large else "cannot be sent to a worker"
            self._state.fail(cases[0][0], CaseLostError(f"the case {what}: {error}"))
            return True
        for case, order in cases:
            case.sent = order.attempt
        return True

    def _note_sent(self, cases: list[_Attempt]) -> None:
        now = time.monotonic()
        with self._state.lock:
            for case, order in cases:
                if case.attempt == order.attempt:
                    case.sent_at, case.is_alone = now, len(cases) == 1

    def tick(self, sender: Sender) -> float:
        state = self._state
        with state.lock:
            actions = state.supervision.check(state.runs.values())
            failures = [*actions.fail, *state.supervision.check_broker(state.runs.values())]
            is_idle = not state.runs
        for case, attempt in actions.drop:
            state.notices.drop((case.run.order.run, case.order.number, attempt))
        for case in actions.resend:
            self.put(case)
        self._fail(failures)
        wants_notice = not is_idle or state.notices.is_needed
        is_due = time.monotonic() >= self._next_beat
        if actions.drop or self._next_beat == 0.0 or (is_due and wants_notice):
            self._send_beat(sender)
        return TICK if wants_notice else IDLE_TICK

    def idle(self) -> None:
        with self._state.lock:
            failures = self._state.supervision.check_broker(self._state.runs.values())
        self._fail(failures)

    def _fail(self, failures: Iterable[Failure]) -> None:
        for case, error in failures:
            if isinstance(error, WorkersError):
                self._state.fail_run(case.run, error)
            else:
                self._state.fail(case, error)

    def _send_beat(self, sender: Sender) -> None:
        """Send the notice, and a message to this process itself by the way that reports take."""
        state = self._state
        now = time.monotonic()
        unheard_since = self._unheard_since
        if unheard_since is not None and now - unheard_since > self._beat * MAX_SILENT_BEATS:
            self._reconnect()
            raise LinkLostError("the broker does not pass messages on")
        with state.lock:
            if state.supervision.seems_stalled(state.runs.values()):
                state.notices.ask_who()
        self._next_beat = now + self._beat
        notice = state.notices.take()
        try:
            sender.send_notice(self._writer.write("notice", notice))
        except BaseException:
            state.notices.give_back(notice)
            raise
        self._beat_at = time.monotonic()
        if unheard_since is None:
            self._unheard_since = now
        ping = {"process": "", "reports": [list(Report("ping"))]}
        sender.send_report(state.reply_to, self._writer.write("report", ping))

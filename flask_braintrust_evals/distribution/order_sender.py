"""Sends orders and notices, on the thread that an owner has for that."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from flask_braintrust_evals.errors import EvalsError, WorkersError

from .attempts import CaseLostError, OpenCase
from .links import LinkLostError, Outbox
from .messages import MessageTooLargeError, MessageWriter
from .orders import order_content
from .owner_state import OwnerState
from .reports import Report
from .transport import Sender, Transport

TICK = 0.25
"""Seconds between two looks at the cases that are under way."""
IDLE_TICK = 5.0
"""The same while there is no run."""
MAX_UNHEARD_PINGS = 3
"""Messages of a process to itself that may be missing before the broker is taken to be silent."""


class OrderSender:
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
        self._state = state
        self._writer = writer
        self._beat = beat
        self._reconnect = reconnect
        self._next_beat = 0.0
        self._outbox: Outbox[OpenCase] = Outbox(
            transport, "orders", self._deliver, self._tick, self._note_connected
        )

    @property
    def error(self) -> Exception | None:
        """Why there is no connection; ``None``: there is one."""
        return self._outbox.error

    def start(self) -> None:
        """Start the thread."""
        self._outbox.start()

    def stop(self) -> None:
        """Have the thread end soon."""
        self._outbox.stop()

    def order(self, case: OpenCase) -> None:
        """Have a case ordered. Never waits."""
        self._outbox.put(case)

    def send_notice_now(self) -> None:
        """Have a notice sent before the next order. Never waits."""
        self._next_beat = 0.0
        self._outbox.wake()

    # --- On the thread ---

    def _note_connected(self, again: bool) -> None:
        if again:
            with self._state.lock:
                self._state.supervision.note_reconnected()

    def _deliver(self, sender: Sender, waiting: deque[OpenCase]) -> None:
        if self._next_beat == 0.0:
            self._send_beat(sender)
        while waiting:
            batch = self._next_batch(waiting)
            wanted = [case for case in batch if case.order.number in case.run.cases]
            if wanted:
                self._send_orders(sender, wanted)
            for _ in batch:
                waiting.popleft()

    def _next_batch(self, waiting: deque[OpenCase]) -> list[OpenCase]:
        """Return the first cases that go into one order: of one run, and all first attempts."""
        first = waiting[0]
        size = first.run.batch_size(self._state.slots()) if first.attempt == 1 else 1
        batch: list[OpenCase] = []
        for case in waiting:
            if len(batch) == size or case.run is not first.run or case.attempt != first.attempt:
                break
            batch.append(case)
        return batch

    def _send_orders(self, sender: Sender, cases: list[OpenCase]) -> None:
        try:
            content = order_content(cases[0].run.order, [case.order for case in cases])
            message = self._writer.write("order", content)
        except MessageTooLargeError as error:
            if len(cases) > 1:
                for case in cases:
                    self._send_orders(sender, [case])
            else:
                cases[0].job.fail(CaseLostError(f"the case is too large to be sent: {error}"))
            return
        except EvalsError as error:
            for case in cases:
                case.job.fail(CaseLostError(f"the case cannot be sent to a worker: {error}"))
            return
        now = time.monotonic()
        for case in cases:  # before it is sent: a report may come at once
            case.sent_at = now
        sender.send_order(message)

    def _tick(self, sender: Sender) -> float:
        state = self._state
        with state.lock:
            actions = state.supervision.check(state.runs.values())
            is_idle = not state.runs
        for case, attempt in actions.drop:
            state.notices.drop((case.run.order.run, case.order.number, attempt))
        for case in actions.resend:
            self._outbox.put(case)
        for case, error in actions.fail:
            if isinstance(error, WorkersError):
                state.fail_run(case.run, error)
            else:
                case.job.fail(error)
        wants_notice = not is_idle or state.notices.is_needed
        is_due = time.monotonic() >= self._next_beat
        if actions.drop or self._next_beat == 0.0 or (is_due and wants_notice):
            self._send_beat(sender)
        return TICK if wants_notice else IDLE_TICK

    def _send_beat(self, sender: Sender) -> None:
        """Send the notice, and a message to this process itself by the way that reports take."""
        state = self._state
        if state.unheard_pings >= MAX_UNHEARD_PINGS:
            state.unheard_pings = 0
            self._reconnect()
            raise LinkLostError("the broker does not pass messages on")
        if state.waits_for_workers() and not state.has_heard(self._beat * 2):
            state.notices.ask_who()
        self._next_beat = time.monotonic() + self._beat
        sender.send_notice(self._writer.write("notice", state.notices.take()))
        state.unheard_pings += 1
        ping = {"process": "", "reports": [list(Report("ping"))]}
        sender.send_report(state.reply_to, self._writer.write("report", ping))

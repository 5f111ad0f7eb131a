"""Orders cases from workers for the runs of this process."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.real_threads import start_real_thread
from flask_braintrust_evals.concurrency.timers import call_later
from flask_braintrust_evals.distribution.messaging.links import reason_of
from flask_braintrust_evals.distribution.messaging.messages import MessageWriter
from flask_braintrust_evals.distribution.messaging.orders import CaseOrder, RunOrder
from flask_braintrust_evals.distribution.messaging.reports import Report
from flask_braintrust_evals.distribution.messaging.transport import Transport, WorkerInfo
from flask_braintrust_evals.errors import BrokerError, WorkersError

from .attempts import OpenCase, OrderedRun
from .known_workers import HEARD_LATELY
from .order_sender import OrderSender
from .owner_state import OwnerState
from .report_receiver import ReportReceiver

CHECK_SECONDS = 3.0
"""Seconds that the broker has to pass a message on, before a run begins."""
POLL_SECONDS = 0.1
"""Seconds between two looks at whether the connection has failed meanwhile."""
SILENT_SECONDS = 1.0
"""Seconds after which a process without runs makes its connections anew, likewise."""
HELLO_SECONDS = 1.0
"""Seconds that workers have to say hello, likewise."""
CANCEL_SECONDS = 3.0
"""Seconds that workers have to report the cases of a run that was cancelled."""


class Dispatcher:
    """Orders the cases of all runs of a process, which has one dispatcher. Thread-safe.

    It has two threads, which start with the first run: one sends, and one listens.

    Args:
        transport: the broker.
        writer: signs orders, and reads reports.
        lease: seconds without a sign of life after which an attempt is lost.
    """

    def __init__(self, transport: Transport, writer: MessageWriter, lease: float) -> None:
        self._transport = transport
        self._state = OwnerState(transport, lease)
        self._receiver = ReportReceiver(self._state, transport, writer, lambda: self._sender)
        self._sender = OrderSender(
            self._state, transport, writer, lease / 3, self._receiver.reconnect
        )

    def check(self) -> None:
        """Check that the broker passes messages on, and that a worker is there. May wait.

        Raises:
            BrokerError: the broker does not answer.
            WorkersError: no worker takes cases from the queue.
        """
        self.check_broker()
        if self._state.has_heard(HEARD_LATELY):
            return
        if not self.workers(HELLO_SECONDS, first_only=True) and not self._broker_has_workers():
            raise self.no_workers()

    def check_broker(self) -> None:
        """Check that the broker passes messages on. May wait.

        Raises:
            BrokerError: it does not answer.
        """
        self._start()
        self._state.pong.clear()
        self._sender.send_notice_now()
        self._sender.hurry()
        self._receiver.hurry()
        if not self._wait_for_pong():
            raise self._broker_error(self._sender.error or self._receiver.error)

    def workers(self, timeout: float, first_only: bool = False) -> list[WorkerInfo]:
        """Ask all worker processes to say hello; return those that have.

        Args:
            timeout: seconds that they have.
            first_only: whether to return with the first one.
        """
        self._start()
        began = time.monotonic()
        self._state.hello.clear()
        self._state.notices.ask_who()
        self._sender.send_notice_now()
        self._state.hello.wait(timeout)
        left = began + timeout - time.monotonic()
        if not first_only and left > 0:
            time.sleep(left)
        return self._state.said_hello_since(began)

    @property
    def is_connected(self) -> bool:
        """Whether there are connections to the broker, or none has been needed so far."""
        return self._sender.error is None and self._receiver.error is None

    def ordered_cases(self) -> dict[str, int]:
        """Return how many cases are ordered: ``waiting``, and ``running`` on a worker."""
        return self._state.ordered_cases()

    def no_workers(self) -> WorkersError:
        """Return the error that no worker takes cases."""
        return self._state.supervision.no_workers()

    def open(
        self,
        order: RunOrder,
        window: int,
        receive_spans: Callable[[Any], None] = lambda spans: None,
    ) -> OrderedRun:
        """Begin a run. It takes up nothing before its first case.

        Args:
            order: what all of its orders have in common; its owner is set here.
            window: cases that may be under way at a time.
            receive_spans: called with encoded spans that end when their case is done.
        """
        self._start()
        self._sender.announce()
        order = dataclasses.replace(order, owner=self._state.reply_to)
        return OrderedRun(order, window, receive_spans)

    def run_case(
        self, run: OrderedRun, order: CaseOrder, receive: Callable[[Report], None]
    ) -> Mapping[str, Any]:
        """Have a case run, and wait until it is done.

        Args:
            run: its run.
            order: the first attempt at it.
            receive: called, by the calling thread, with what is reported in between; must not
                raise.

        Returns:
            the outcome that the worker reports; see :func:`outcome_of`.

        Raises:
            CaseLostError: it could not be run.
            CaseCancelledError: the run was cancelled.
            EvalsError: no case of the run can be run.
        """

        def take(report: Report) -> None:
            if report.kind == "progress":
                case.progress_received(report)
            receive(report)

        case = OpenCase(run, order, Job(take))
        if self._state.add(case):
            self._sender.send_notice_now()
        try:
            self._sender.put(case)
            outcome: Mapping[str, Any] = case.job.wait()
            return outcome
        finally:
            self._state.take_out(case)

    def cancel(self, run: OrderedRun) -> None:
        """Have the cases of a run cancelled wherever they are. May be called again.

        Those that no worker has started end at once, and the others within a few seconds.
        """
        has_started = self._state.cancel(run)
        if has_started is None:
            return
        self._state.notices.run_is_over(run.order.run)
        self._sender.send_notice_now()
        if not has_started:
            return

        def end() -> None:
            self._state.fail_cancelled([*run.cases.values()])

        try:
            call_later(CANCEL_SECONDS, end)
        except RuntimeError:  # the system has no more threads
            end()

    def close(self, run: OrderedRun) -> None:
        """End a run. Workers forget it."""
        self.cancel(run)
        self._state.remove(run)

    def stop(self) -> None:
        """End the threads, at the end of the process."""
        self._sender.stop()
        self._receiver.stop()

    def _start(self) -> None:
        self._receiver.start()
        self._sender.start()

    def _wait_for_pong(self) -> bool:
        began = time.monotonic()
        ends, idle_ends = began + CHECK_SECONDS, began + SILENT_SECONDS
        failures = self._sender.failures
        while not self._state.pong.wait(POLL_SECONDS):
            if time.monotonic() > idle_ends and not self._state.runs:
                # Connections that were idle for long may be dead without that being known.
                self._sender.reconnect()
                idle_ends = ends
            # The first failure may be that of a connection which was lost some time ago.
            if time.monotonic() > ends or self._sender.failures > failures + 1:
                return False
        return True

    def _broker_has_workers(self) -> bool:
        job: Job[bool] = Job()
        start_real_thread(lambda: job.run(lambda: self._transport.has_workers(HELLO_SECONDS)))
        try:
            return job.wait()
        except self._transport.errors as error:
            raise self._broker_error(error) from None

    def _broker_error(self, error: Exception | None) -> BrokerError:
        why = "" if error is None else f" ({reason_of(error)})"
        return BrokerError(
            f"the broker at {self._transport.address} does not answer{why}, and cases of this"
            " evaluator run on other machines (BRAINTRUST_EVALS_EXECUTOR)"
        )

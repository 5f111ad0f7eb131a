"""Receives what workers report, on the thread that an owner has for that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask_braintrust_evals.errors import EvalsError

from .attempts import CaseCancelledError, OpenCase
from .links import Listener
from .messages import Message, MessageError, MessageWriter
from .order_sender import OrderSender
from .owner_state import OwnerState
from .reports import Report
from .transport import Transport, WorkerInfo

logger = logging.getLogger("flask_braintrust_evals")


class ReportReceiver:
    """Receives the reports for a process.

    Args:
        state: the owner's.
        transport: the broker.
        writer: reads the messages.
        sender: returns what sends cases again, and notices.
    """

    def __init__(
        self,
        state: OwnerState,
        transport: Transport,
        writer: MessageWriter,
        sender: Callable[[], OrderSender],
    ) -> None:
        self._state = state
        self._writer = writer
        self._sender = sender
        self._listener = Listener(
            transport,
            "reports",
            lambda ready, stopped: transport.listen_for_reports(
                state.reply_to, self.receive, ready, stopped
            ),
            self._note_connected,
        )

    @property
    def error(self) -> Exception | None:
        """Why there is no connection; ``None``: there is one."""
        return self._listener.error

    def start(self) -> None:
        """Start the thread."""
        self._listener.start()

    def stop(self) -> None:
        """Have the thread end soon."""
        self._listener.stop()

    def reconnect(self) -> None:
        """Have the connection made anew."""
        self._listener.reconnect()

    # --- On the thread ---

    def receive(self, message: Message) -> None:
        """Take a message with reports. Whatever is wrong with it, it is logged and ignored."""
        try:
            content = self._writer.read("report", message)
            process = content["process"]
            if process:
                with self._state.lock:
                    self._state.supervision.heard_at[process] = time.monotonic()
            for each in content["reports"]:
                self._take(Report.of(each), process)
        except MessageError as error:
            logger.warning("a report of a worker is ignored: %s", error)
        except Exception as error:  # of a worker that writes other reports
            logger.warning("a report of a worker is ignored: %s", type(error).__name__)

    def _note_connected(self, again: bool) -> None:
        if again:
            with self._state.lock:
                self._state.supervision.note_reconnected()

    def _take(self, report: Report, process: str) -> None:
        if report.kind == "ping":
            self._state.unheard_pings = 0
            self._state.pong.set()
        elif report.kind == "hello":
            self._take_hello(report.content, process)
        elif report.kind == "alive":
            self._take_alive(report.content)
        elif report.kind == "spans":
            with self._state.lock:
                run = self._state.runs.get(report.run)
            if run is not None:
                run.receive_spans(report.content)
        else:
            self._take_of_case(report, process)

    def _take_hello(self, fields: Mapping[str, Any], process: str) -> None:
        info = WorkerInfo(**{**fields, "evaluators": tuple(fields["evaluators"])})
        with self._state.lock:
            self._state.workers[process] = time.monotonic(), info
        self._state.hello.set()

    def _take_alive(self, attempts: list[Any]) -> None:
        now = time.monotonic()
        unknown = []
        with self._state.lock:
            for run_id, number, attempt in attempts:
                run = self._state.runs.get(run_id)
                case = None if run is None else run.cases.get(number)
                if case is not None and case.attempt == attempt:
                    case.heard_at, case.overtaken_at = now, None
                elif run is None:
                    unknown.append(run_id)
        for run_id in unknown:
            self._state.notices.run_is_over(run_id)

    def _take_of_case(self, report: Report, process: str) -> None:
        with self._state.lock:
            run = self._state.runs.get(report.run)
            case = None if run is None else run.cases.get(report.number)
        if case is not None and case.attempt != report.attempt:
            case = None
        if report.kind == "ask":
            may_start = case is not None and not self._is_run_by_other(case, process)
            self._answer(report, may_start)
        elif case is not None:
            self._take_of_attempt(report, case, process)
        elif report.kind == "started":  # of another attempt, or of a run that is over
            if run is None:
                self._state.notices.run_is_over(report.run)
            self._answer(report, may_start=False)

    def _answer(self, report: Report, may_start: bool) -> None:
        self._state.notices.answer((report.run, report.number, report.attempt), may_start)
        self._sender().send_notice_now()

    def _is_run_by_other(self, case: OpenCase, process: str) -> bool:
        if case.started_at is None or case.process == process:
            return False
        return time.monotonic() - case.heard_at < self._state.supervision.lease

    def _take_of_attempt(self, report: Report, case: OpenCase, process: str) -> None:
        case.heard_at = time.monotonic()
        if report.kind == "progress":
            if not case.post_progress(report):
                logger.warning("a client reads too slowly: progress of a case is left out")
        elif report.kind == "finished":
            self._take_finished(report, case)
        elif report.kind == "lost":
            self._settle(case, report.content)
        elif report.kind == "refused":
            with self._state.lock:
                failure = self._state.supervision.note_refused(case, report.content)
            if failure is not None:
                self._state.fail_run(case.run, failure)
        else:
            if report.kind == "started":
                with self._state.lock:
                    self._state.supervision.note_started(case, process)
            case.job.post(report)

    def _take_finished(self, report: Report, case: OpenCase) -> None:
        outcome = report.content
        if outcome["interrupted"] and case.run.cancelled_at is None:
            # The worker had not heard of this process for long, and cancelled it by itself.
            self._settle(case, "its worker had lost the connection to this process")
            return
        with self._state.lock:
            case.run.note_duration(outcome["duration"])
        case.job.succeed(outcome)

    def _settle(self, case: OpenCase, reason: str) -> None:
        """Send a lost case again, unless it has failed."""
        failure: EvalsError | None
        with self._state.lock:
            if case.run.cancelled_at is not None:
                failure = CaseCancelledError("the run was cancelled")
            else:
                failure = self._state.supervision.note_lost(case, reason)
        if failure is None:
            self._sender().order(case)
        else:
            case.job.fail(failure)

"""Receives what workers report, on the thread that an owner has for that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask_braintrust_evals.distribution.messaging.links import Listener
from flask_braintrust_evals.distribution.messaging.messages import (
    Message,
    MessageError,
    MessageWriter,
    known_fields,
)
from flask_braintrust_evals.distribution.messaging.reports import Report, loss_of
from flask_braintrust_evals.distribution.messaging.transport import Transport, WorkerInfo
from flask_braintrust_evals.errors import EvalsError, WorkersError

from .attempts import CaseCancelledError, OpenCase, OrderedRun
from .order_sender import OrderSender
from .owner_state import OwnerState

logger = logging.getLogger("flask_braintrust_evals")


class ReportReceiver(Listener):
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
        super().__init__(
            transport,
            "reports",
            lambda ready, stopped: transport.listen_for_reports(
                state.reply_to, self.receive, ready, stopped
            ),
        )
        self._state = state
        self._writer = writer
        self._sender = sender

    # --- On the thread ---

    def receive(self, message: Message) -> None:
        """Take a message with reports. Whatever is wrong with it, it is logged and ignored."""
        try:
            content = self._writer.read("report", message)
            process, reports = content["process"], content["reports"]
        except MessageError as error:
            logger.warning("a report of a worker is ignored: %s", error)
            return
        # Whatever arrives shows that messages do: that to itself may wait behind many others.
        self._sender().note_heard()
        if process:
            with self._state.lock:
                is_new = self._state.workers.note(process)
            if is_new:
                self._state.notices.ask_who()  # how many cases it runs at a time
        for each in reports:
            try:
                self._take(Report.of(each), process)
            except Exception as error:  # of a worker that writes other reports
                logger.warning("a report of a worker is ignored: %s", type(error).__name__)

    def connected(self, again: bool) -> None:
        if again:
            with self._state.lock:
                self._state.supervision.note_reconnected()

    def _take(self, report: Report, process: str) -> None:
        if report.kind == "ping":
            with self._state.lock:
                self._state.supervision.heard_itself_at = time.monotonic()
            self._state.pong.set()
        elif report.kind == "hello":
            self._take_hello(report.content)
        elif report.kind == "alive":
            self._take_alive(report.content, process)
        elif report.kind == "spans":
            with self._state.lock:
                run = self._state.runs.get(report.run)
            if run is not None:
                run.receive_spans(report.content)
        else:
            self._take_of_case(report, process)

    def _take_hello(self, fields: Mapping[str, Any]) -> None:
        info = WorkerInfo(
            **{**known_fields(WorkerInfo, fields), "evaluators": tuple(fields["evaluators"])}
        )
        with self._state.lock:
            self._state.workers.note_hello(info)
        self._state.hello.set()

    def _take_alive(self, attempts: list[Any], process: str) -> None:
        now = time.monotonic()
        unknown = set()
        with self._state.lock:
            for run_id, number, attempt in attempts:
                run = self._state.runs.get(run_id)
                case = None if run is None else run.cases.get(number)
                if run is None:
                    unknown.add(run_id)
                elif case is not None and case.attempt == attempt:
                    if case.process in ("", process):
                        case.heard_at, case.overtaken_at = now, None
        for run_id in unknown:
            self._state.notices.run_is_over(run_id)

    def _take_of_case(self, report: Report, process: str) -> None:
        state = self._state
        failure: EvalsError | None = None
        is_again = False
        with state.lock:
            run = state.runs.get(report.run)
            case = self._current(run, report, process)
            if case is None:
                pass
            elif report.kind == "started":
                state.supervision.note_started(case, process)
            elif report.kind == "refused":
                failure = state.supervision.note_refused(case, report.content, process)
            elif (loss := self._loss(report, case)) is not None:
                failure = self._note_lost(case, *loss)
                is_again = failure is None
            elif report.kind == "finished":
                case.run.note_duration(report.content["duration"])
            elif report.kind == "task":
                case.has_output = True
            if case is not None:
                case.heard_at = time.monotonic()
        if report.kind == "ask":
            self._answer(report, may_start=case is not None and not case.run.is_cancelled)
        elif case is None:
            # Of another attempt, or of a run that is over. Other reports come too late to matter.
            if report.kind == "started":
                self._drop(report, run)
        elif is_again:
            self._sender().put(case)
        elif isinstance(failure, WorkersError):
            state.fail_run(case.run, failure)
        elif failure is not None:
            state.fail(case, failure)
        elif report.kind == "finished":
            state.succeed(case, report.content)
        elif report.kind == "progress":
            case.post_progress(report)
        elif report.kind in ("started", "task", "attachment"):
            case.job.post(report)

    def _current(self, run: OrderedRun | None, report: Report, process: str) -> OpenCase | None:
        """Return the case of a report of its current attempt; ``None``: it is about another."""
        case = None if run is None else run.cases.get(report.number)
        if case is None or case.attempt != report.attempt:
            return None
        # Brokers may deliver an order twice. Only that of the first process counts.
        is_of_other = process and case.runs_in_other(process, self._state.supervision.lease)
        return None if is_of_other else case

    @staticmethod
    def _loss(report: Report, case: OpenCase) -> tuple[str, bool] | None:
        """Return why an attempt is lost, and whether the case is not to blame, if it is lost."""
        if report.kind == "lost":
            return loss_of(report.content)
        if report.kind != "finished" or case.run.is_cancelled:
            return None
        if report.content["interrupted"]:
            # The worker had not heard of this process for long, and cancelled it by itself.
            return "its worker had cancelled it", True
        if report.content["error"] is None and not case.has_output:
            return "the report with its output was lost", True
        return None

    def _note_lost(self, case: OpenCase, reason: str, is_given_up: bool) -> EvalsError | None:
        if case.run.is_cancelled:
            return CaseCancelledError("the run was cancelled")
        supervision = self._state.supervision
        note = supervision.note_given_up if is_given_up else supervision.note_lost
        return note(case, reason)

    def _drop(self, report: Report, run: OrderedRun | None) -> None:
        if run is None:
            self._state.notices.run_is_over(report.run)
        self._answer(report, may_start=False)

    def _answer(self, report: Report, may_start: bool) -> None:
        self._state.notices.answer((report.run, report.number, report.attempt), may_start)
        self._sender().send_notice_now()

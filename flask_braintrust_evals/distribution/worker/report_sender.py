"""Sends reports to the owners of runs, on a thread of its own; several in one message."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from flask_braintrust_evals.distribution.messaging.links import Outbox
from flask_braintrust_evals.distribution.messaging.messages import (
    MessageTooLargeError,
    MessageWriter,
)
from flask_braintrust_evals.distribution.messaging.reports import (
    Report,
    error_fields,
    failed_outcome,
    without_case_spans,
    without_spans,
)
from flask_braintrust_evals.distribution.messaging.transport import Sender, Transport
from flask_braintrust_evals.engine.values.results import CaseError
from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.texts.excerpts import MAX_QUOTED, shortened

logger = logging.getLogger("flask_braintrust_evals")

MAX_REPORTS = 200
"""Reports in one message."""
PROGRESS_SECONDS = 0.04
"""Seconds between two messages with nothing but progress: tasks report it for each word."""

Send = Callable[[str, Report], None]
"""Sends a report to an owner."""
_Item = tuple[str, Report]


class ReportSender(Outbox[_Item]):
    """Sends the reports of a process.

    Args:
        transport: the broker.
        writer: signs the messages.
        beat: seconds between two calls of ``tick``.
        tick: called on the thread that sends, with what sends a report before all that wait.
        idle: called on it now and then while there is no connection.

    Attributes:
        process: the name of this process; see :class:`WorkerInfo`.
    """

    def __init__(
        self,
        transport: Transport,
        writer: MessageWriter,
        beat: float,
        tick: Callable[[Send], None],
        idle: Callable[[], None],
    ) -> None:
        super().__init__(transport, "reports")
        self.process = ""
        self._writer = writer
        self._beat = beat
        self._on_tick = tick
        self._on_idle = idle
        self._changed = threading.Condition()
        self._put = 0
        self._sent = 0
        self._urgent = 0
        self._sent_at = 0.0
        self._apart = 0  # reports that are to be sent one by one: they are too large together

    def report(self, owner: str, report: Report) -> None:
        """Have a report sent to an owner. Never waits."""
        with self._changed:
            self._put += 1
            self._urgent += report.kind != "progress"
            self.put((owner, report))

    def flush(self, timeout: float) -> bool:
        """Wait until everything that was put has been sent; return whether it has."""
        with self._changed:
            goal = self._put
            return self._changed.wait_for(lambda: self._sent >= goal, timeout)

    # --- On the thread ---

    def deliver(self, sender: Sender, waiting: deque[_Item]) -> None:
        owner = waiting[0][0]
        most = 1 if self._apart else MAX_REPORTS
        reports: list[Report] = []
        for each, report in waiting:
            if each != owner or len(reports) == most:
                break
            reports.append(report)
        try:
            self._send(sender, owner, reports)
        except EvalsError as error:
            if len(reports) > 1:
                self._apart = len(reports)
                return
            smaller = _smaller(reports[0], error)
            if smaller is not None:
                waiting[0] = owner, smaller
                return
        for _ in reports:
            waiting.popleft()
        self._apart = max(0, self._apart - len(reports))
        with self._changed:
            self._sent += len(reports)
            self._urgent -= sum(report.kind != "progress" for report in reports)
            self._changed.notify_all()
        if not waiting:
            self._sent_at = time.monotonic()

    def idle(self) -> None:
        self._on_idle()

    def hold(self) -> float:
        return 0.0 if self._urgent else self._sent_at + PROGRESS_SECONDS - time.monotonic()

    def _send(self, sender: Sender, owner: str, reports: list[Report]) -> None:
        content = {"process": self.process, "reports": [[*each] for each in reports]}
        sender.send_report(owner, self._writer.write("report", content))

    def tick(self, sender: Sender) -> float:
        def send(owner: str, report: Report) -> None:
            try:
                self._send(sender, owner, [report])
            except EvalsError as error:
                _smaller(report, error)  # logs it

        self._on_tick(send)
        return self._beat


def _smaller(report: Report, error: EvalsError) -> Report | None:
    """Return what to report where a report cannot be sent; ``None``: nothing.

    What is returned is smaller each time, so that the last of it can be sent.
    """
    too_large = isinstance(error, MessageTooLargeError)
    what = "is too large to be sent from the worker" if too_large else "cannot be sent"
    content = report.content
    if report.kind == "task" and content[0] is not None:
        failure = CaseError("WorkerError", f"the output of the task {what}: {error}")
        return report._replace(content=[None, error_fields(failure)])
    if report.kind == "finished" and content["case_spans"] and content["case_spans"]["spans"]:
        return report._replace(content=without_case_spans(content))
    if report.kind == "finished" and (content["spans"] or content["root"]):
        logger.warning("the spans of a case are lost: their message %s: %s", what, error)
        return report._replace(content=without_spans(content))
    if report.kind == "finished" and not content["is_reduced"]:
        known = content["error"]
        failure = CaseError("WorkerError", f"the result of the case {what}: {error}")
        if known is not None:  # the failure of the task matters more, without its stack
            failure = CaseError(shortened(known[0], MAX_QUOTED), shortened(known[1], MAX_QUOTED))
        return report._replace(content=failed_outcome(failure))
    logger.warning("a report of the kind %r %s: %s", report.kind, what, error)
    return None

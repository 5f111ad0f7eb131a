"""Runs the cases of orders, in a worker process, and reports to their owners."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.distribution.messaging.attachment_sender import attachment_bytes
from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints
from flask_braintrust_evals.distribution.messaging.links import CONNECT_TIMEOUT, Listener
from flask_braintrust_evals.distribution.messaging.messages import (
    Message,
    MessageError,
    MessageWriter,
    SignatureError,
)
from flask_braintrust_evals.distribution.messaging.notices import AttemptKey
from flask_braintrust_evals.distribution.messaging.orders import (
    CaseOrder,
    RunOrder,
    read_address,
    read_order,
)
from flask_braintrust_evals.distribution.messaging.reports import Report
from flask_braintrust_evals.distribution.messaging.transport import Transport, WorkerInfo
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.texts.error_texts import error_text

from .owners import Owners
from .report_sender import ReportSender, Send
from .returned_orders import OrderReturns
from .under_way import UnderWay, key_of
from .worker_case import CasesOfProcess, WorkerCase
from .worker_runs import KeptRun, MakeRun, WorkerRuns

logger = logging.getLogger("flask_braintrust_evals")

FLUSH_SECONDS = 30.0
"""Seconds that the last reports of an order may take to reach the broker. Later, the owner notices
that the case is lost, and has it run again."""
TICK = 0.5
"""Seconds between two looks at what runs and waits here."""
LAST_SECONDS = 5.0
"""The same where the process ends. The process that has started it says so, too."""


class CaseWorker:
    """Runs the cases that others have ordered, in a process that has one of it. Thread-safe.

    Args:
        transport: the broker.
        writer: reads orders and notices, and signs reports.
        evaluators: returns the evaluators of the application.
        make_run: makes what runs the cases of a run.
        fingerprints: those of the evaluators.
        lease: seconds without a notice after which the cases of an owner are cancelled.
        release: the release of the application; empty: it has none.
        is_ending: returns whether this process was told to end while it runs a case.
    """

    def __init__(
        self,
        transport: Transport,
        writer: MessageWriter,
        evaluators: Callable[[], Iterable[Evaluator]],
        make_run: MakeRun,
        fingerprints: Fingerprints,
        lease: float,
        release: str = "",
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._transport = transport
        self._writer = writer
        self._evaluators = evaluators
        self._fingerprints = fingerprints
        self._release = release
        self._lock = new_lock()
        self._under_way = UnderWay()
        self._info: WorkerInfo | None = None
        self._runs = WorkerRuns(make_run)
        self._beat = lease / 3
        self._next_beat = 0.0
        self._reports = ReportSender(
            transport, writer, min(self._beat, TICK), self._tick, self._cancel_abandoned
        )
        self._cases = CasesOfProcess(
            self._reports.report,
            self._reports.flush,
            is_ending,
            attachment_bytes(writer.max_bytes),
            f"it had heard nothing of the server for {lease:g} seconds, and cancelled it",
        )
        self._returns = OrderReturns(transport)
        self._owners = Owners(lease, self._ask)
        self._listener = Listener(
            transport,
            "notices",
            lambda ready, stopped: transport.listen_for_notices(self.take_notice, ready, stopped),
        )

    def start(self, name: str, process: str, pool: str, slots: int) -> None:
        """Start the threads that listen and report, unless they were started.

        Args:
            name: see :class:`WorkerInfo`, also for the others; those of the first call count.

        Raises:
            RuntimeError: the system has no more threads; a later call may start them.
        """
        with self._lock:
            if self._info is None:
                names = tuple(evaluator.name for evaluator in self._evaluators())
                self._info = WorkerInfo(
                    name, process, pool, slots, 0, names, __version__, self._release
                )
                self._reports.process = process
        self._reports.start()
        self._listener.start()

    def stop(self) -> None:
        """End the threads."""
        self._returns.stop()
        self._listener.stop()
        self._reports.stop()

    def perform(self, message: Message, redelivered: bool, returns: int = 0) -> None:
        """Run the cases of an order. Returns when their results have reached the broker.

        Args:
            message: the order.
            redelivered: whether another worker may have had it before.
            returns: how often workers have given it back, because they could not verify it.
        """
        read = self._read(message, returns)
        if read is None:
            return
        order, cases = read
        # One that is delivered again while it runs here is not run twice.
        cases = self._under_way.begin(order, cases)
        if not cases:
            return
        try:
            self._perform(order, cases, redelivered)
            self._flush()
        except BaseException:  # the process ends, or the worker has failed
            self._reports.flush(LAST_SECONDS)
            raise
        finally:
            self._under_way.end(order, cases)

    def lost(self, message: Message, reason: str) -> None:
        """Report that the process that had an order has died. For the process that started it.

        Args:
            message: the order.
            reason: what is known of it.
        """
        try:
            owner, attempts = read_address(self._writer.read("order", message))
            reports = [[*Report("lost", *attempt, reason)] for attempt in attempts]
            report = self._writer.write("report", {"process": "", "reports": reports})
            with closing(self._transport.connect(CONNECT_TIMEOUT)) as sender:
                sender.send_report(owner, report)
        except Exception as error:  # of the broker, most of all
            # The owner notices it later, because nobody names the case.
            logger.warning("a lost case could not be reported (%s)", type(error).__name__)

    def take_notice(self, message: Message) -> None:
        """Take a notice of an owner. Whatever is wrong with it, it is logged and ignored."""
        try:
            notice = self._writer.read("notice", message)
            over = self._owners.take(notice)
            if over:
                self._runs.end(lambda run, owner: run in over)
            if notice["who"]:
                self._say_hello(notice["owner"])
        except MessageError as error:
            logger.warning("a notice is ignored: %s", error)
        except Exception as error:  # of an owner that writes other notices
            logger.warning("a notice is ignored: %s", type(error).__name__)

    def _read(self, message: Message, returns: int) -> tuple[RunOrder, list[CaseOrder]] | None:
        """Return the run and the cases of an order; ``None``: nothing of it is run here."""
        try:
            content = self._writer.read("order", message)
            owner, attempts = read_address(content)
        except SignatureError as error:
            self._returns.give_back(message, returns, error)
            return None
        except MessageError as error:
            logger.error("an order is ignored: %s", error)
            return None
        try:
            return read_order(content)
        except MessageError as error:
            self._refuse(owner, attempts, f"cannot run this order: {error}")
            self._flush()
            return None

    def _flush(self) -> None:
        if not self._reports.flush(FLUSH_SECONDS):
            logger.error("the results of cases could not be reported: the broker does not answer")

    def _perform(self, order: RunOrder, cases: list[CaseOrder], redelivered: bool) -> None:
        keys = [key_of(order, case) for case in cases]
        allowed = self._owners.allow(order.owner, keys, ask=redelivered)
        if allowed is None:
            # It may have answered a connection that is dead without that being known.
            self._listener.reconnect()
            self._refuse(order.owner, keys, "hears nothing of the process that has ordered them")
            return
        wanted = [case for case, key in zip(cases, keys, strict=True) if key in allowed]
        if not wanted:
            return
        kept = self._prepare(order, wanted)
        if kept is None:
            return
        try:
            with self._under_way.line(order, wanted) as line:
                for case in line:
                    if self._owners.wants(key_of(order, case)):
                        is_repeated = redelivered or case.attempt > 1
                        WorkerCase(self._cases, order, case, kept, is_repeated).run()
        finally:
            self._runs.leave(kept)

    def _prepare(self, order: RunOrder, cases: list[CaseOrder]) -> KeptRun | None:
        """Return what runs the cases of an order; ``None``: nothing does, and they are refused."""
        try:
            evaluator, why = self._fingerprints.find(
                order.evaluator, order.fingerprint, self._evaluators(), order.twin
            )
            if evaluator is not None:
                return self._runs.use(order, evaluator, self._receive_spans(order))
        except Exception as error:  # of the application's code, too
            if not isinstance(error, EvalsError):
                logger.exception("a run could not begin")
            why = f"cannot run evaluator {order.evaluator!r}: {error_text(error)}"
        self._refuse(order.owner, [key_of(order, case) for case in cases], why)
        return None

    def _refuse(self, owner: str, attempts: list[AttemptKey], why: str) -> None:
        name = "the worker" if self._info is None else f"worker {self._info.name}"
        reason = f"{name} {why}"
        logger.warning("cases are refused: %s", reason)
        for attempt in attempts:
            self._reports.report(owner, Report("refused", *attempt, reason))

    def _receive_spans(self, order: RunOrder) -> Callable[[Any], None]:
        return lambda spans: self._reports.report(
            order.owner, Report("spans", order.run, content=spans)
        )

    def _ask(self, owner: str, attempt: AttemptKey) -> None:
        self._reports.report(owner, Report("ask", *attempt))

    def _say_hello(self, owner: str) -> None:
        if self._info is not None:
            busy = min(len(self._under_way), self._info.slots)
            info = dataclasses.replace(self._info, busy=busy)
            self._reports.report(owner, Report("hello", content=vars(info)))

    def _cancel_abandoned(self) -> None:
        """Cancel what nobody waits for, as far as is known."""
        try:
            if self._runs.end(lambda run, owner: self._owners.is_gone(owner), is_abandoned=True):
                self._listener.reconnect()
        except Exception:
            logger.exception("a run could not be cancelled")

    def _tick(self, send: Send) -> None:
        """Cancel what nobody waits for, give back what waits here, and say what runs each beat."""
        self._cancel_abandoned()
        self._give_back_waiting()
        if time.monotonic() >= self._next_beat:
            for owner, attempts in self._under_way.by_owner().items():
                send(owner, Report("alive", content=[[*key] for key in attempts]))
            self._next_beat = time.monotonic() + self._beat

    def _give_back_waiting(self) -> None:
        """Have the owners order again what waits for a case that takes long: others may be idle."""
        for owner, key in self._under_way.take_waiting():
            # An owner counts no loss of what had not started.
            self._reports.report(owner, Report("lost", *key, "it waited for another case"))

"""A broker within this process, and workers in threads: all messages travel as text."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, Queue
from typing import Any

from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints
from flask_braintrust_evals.distribution.messaging.messages import Message, MessageWriter
from flask_braintrust_evals.distribution.messaging.reports import Report, ReportKind, outcome_of
from flask_braintrust_evals.distribution.messaging.transport import Receive, Stopped, WorkerInfo
from flask_braintrust_evals.distribution.owner.dispatcher import Dispatcher
from flask_braintrust_evals.distribution.worker.worker import CaseWorker
from flask_braintrust_evals.distribution.worker.worker_runs import MakeRun
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.results import CaseRef, CaseResult
from tests.support import eventually, happens, in_time

SECRET = "a secret of this test"
NOISE = random.Random(1).randbytes(1_000_000).hex()
"""A text that is too large for a message here, also when it is compressed."""


class BrokerDownError(Exception):
    """The broker does not answer."""


class MemoryBroker:
    """A :class:`Transport` whose queues are in memory. It can be stopped, and emptied.

    Attributes:
        orders: the queue of orders.
        returns: how often each order was given back, by its signature.
        log: the kind and the text of each message that was sent.
        is_up: whether it answers.
        silent: whether it takes messages and passes none on.
        lost_notices: how many of the next notices are lost with their connection.
        delay: seconds that it takes to put in an order or a report.
        takes_orders: what each order waits for.
        connections: how many there were so far.
    """

    address = "memory://"
    queue = "cases"
    advice = "celery worker"
    errors: tuple[type[Exception], ...] = (BrokerDownError,)

    def __init__(self) -> None:
        self.orders: Queue[str] = Queue()
        self.log: list[tuple[str, str]] = []
        self.returns: dict[str, int] = {}
        self.is_up = True
        self.silent = False
        self.lost_notices = 0
        self.delay = 0.0
        self.takes_orders = threading.Event()
        self.takes_orders.set()
        self.connections = 0
        self._cut_off = 0
        self._queues: dict[str, Queue[str]] = {}
        self._listeners: list[Queue[str]] = []

    def connect(self, timeout: float) -> _Sender:
        self.check()
        self.connections += 1
        return _Sender(self)

    def listen_for_reports(
        self, reply_to: str, receive: Receive, ready: Callable[[], None], stopped: Stopped
    ) -> None:
        self._listen(self.queue_of(reply_to), receive, ready, stopped)

    def listen_for_notices(
        self, receive: Receive, ready: Callable[[], None], stopped: Stopped
    ) -> None:
        own: Queue[str] = Queue()
        self._listeners.append(own)
        try:
            self._listen(own, receive, ready, stopped)
        finally:
            self._listeners.remove(own)

    def has_workers(self, timeout: float) -> bool:
        return False

    def queue_of(self, name: str) -> Queue[str]:
        return self._queues.setdefault(name, Queue())

    def put(self, kind: str, message: Message, reply_to: str = "", returns: int = 0) -> None:
        self.check()
        if self.lost_notices and kind == "notice":
            self.lost_notices -= 1
            raise BrokerDownError
        if kind != "notice":
            time.sleep(self.delay)
        if kind == "order":
            happens(self.takes_orders)
        text = json.dumps(message)
        self.log.append((kind, text))
        if self.silent:
            return
        if kind == "order":
            self.returns[message.signature] = returns
            self.orders.put(text)
        elif kind == "report":
            self.queue_of(reply_to).put(text)
        else:
            for each in list(self._listeners):
                each.put(text)

    def check(self) -> None:
        if not self.is_up:
            raise BrokerDownError

    def cut_off(self) -> None:
        """Have those who listen now get nothing any more, without their being told."""
        self._cut_off += 1

    def restart_empty(self) -> None:
        """Be back without what was in the queues."""
        self.orders = Queue()
        self._queues.clear()
        self.is_up = True

    def _listen(
        self,
        source: Queue[str],
        receive: Receive,
        ready: Callable[[], None],
        stopped: Stopped,
    ) -> None:
        self.check()
        ready()
        cut_off = self._cut_off
        while not stopped():
            self.check()
            if cut_off != self._cut_off:
                time.sleep(0.02)
                continue
            try:
                text = source.get(timeout=0.02)
            except Empty:
                continue
            receive(Message(*json.loads(text)))


class _Sender:
    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def send_order(self, order: Message, returns: int = 0) -> None:
        self._broker.put("order", order, returns=returns)

    def send_notice(self, notice: Message) -> None:
        self._broker.put("notice", notice)

    def send_report(self, reply_to: str, report: Message) -> None:
        self._broker.put("report", report, reply_to)

    def close(self) -> None:
        pass


class Workers:
    """Worker processes, each a :class:`CaseWorker` with some threads that take orders."""

    def __init__(
        self,
        broker: MemoryBroker,
        evaluators: Iterable[Evaluator],
        make_run: MakeRun,
        *,
        lease: float = 10.0,
        release: str = "",
    ) -> None:
        self._broker = broker
        self._numbers = itertools.count(1)
        self._stopped = threading.Event()
        self._make: Callable[[str], CaseWorker] = lambda secret: CaseWorker(
            broker,
            MessageWriter(secret, 1_000_000),
            lambda: evaluators,
            make_run,
            Fingerprints(release),
            lease,
            release,
        )
        self.all: list[CaseWorker] = []
        self._killed: set[CaseWorker] = set()

    def start(self, slots: int = 2, secret: str = SECRET) -> CaseWorker:
        """Start one more process."""
        number = next(self._numbers)
        worker = self._make(secret)
        worker.start(f"celery@h{number}", f"celery@h{number}/{number}", "threads", slots)
        self.all.append(worker)
        for _ in range(slots):
            threading.Thread(target=self._take_orders, args=[worker], daemon=True).start()
        return worker

    def kill(self, worker: CaseWorker) -> None:
        """End a process at once: what it has begun goes on, and is not heard of any more."""
        self._killed.add(worker)
        worker._reports.report = lambda owner, report: None  # type: ignore[method-assign]
        worker.stop()

    def stop(self) -> None:
        self._stopped.set()
        for worker in self.all:
            worker.stop()

    def _take_orders(self, worker: CaseWorker) -> None:
        while not self._stopped.is_set() and worker not in self._killed:
            try:
                text = self._broker.orders.get(timeout=0.02)
            except Empty:
                continue
            message = Message(*json.loads(text))
            worker.perform(message, False, self._broker.returns[message.signature])


def new_dispatcher(broker: MemoryBroker, lease: float = 10.0, secret: str = SECRET) -> Dispatcher:
    """What a server has."""
    return Dispatcher(broker, MessageWriter(secret, 1_000_000), lease)


def contents_of(broker: MemoryBroker, kind: str) -> list[Any]:
    """What the messages of a kind said."""
    reader: Any = MessageWriter(SECRET, 1_000_000)
    return [reader.read(kind, json.loads(text)) for each, text in broker.log if each == kind]


class Script:
    """A worker process that says what a test tells it to say, and the test reads its orders."""

    def __init__(self, broker: MemoryBroker, process: str = "celery@h1/1") -> None:
        self.process = process
        self._broker = broker
        self._writer: Any = MessageWriter(SECRET, 1_000_000)

    def order(self) -> dict[str, Any]:
        """The next order."""
        text = in_time(lambda: self._broker.orders.get())
        order: dict[str, Any] = self._writer.read("order", json.loads(text))
        return order

    def case(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The next order, and its only case."""
        order = self.order()
        (case,) = order["cases"]
        return order, case

    def say(
        self,
        owner: str,
        *reports: Report,
        process: str | None = None,
    ) -> None:
        """Report to an owner."""
        name = self.process if process is None else process
        content = {"process": name, "reports": [[*each] for each in reports]}
        self._broker.put("report", self._writer.write("report", content), owner)

    def hello(self, owner: str, slots: int = 1, busy: int = 0, *evaluators: str) -> None:
        name = self.process.partition("/")[0]
        info = WorkerInfo(name, self.process, "threads", slots, busy, evaluators, "0", "")
        self.say(owner, Report("hello", content=vars(info)))

    def about(
        self,
        order: dict[str, Any],
        case: dict[str, Any],
        kind: ReportKind,
        content: Any = None,
        *,
        attempt: int | None = None,
    ) -> None:
        """Report something of a case."""
        number = case["attempt"] if attempt is None else attempt
        self.say(order["owner"], Report(kind, order["run"], case["number"], number, content))

    def finish(self, order: dict[str, Any], case: dict[str, Any], output: Any = 1) -> None:
        """Report that a case has been run."""
        result = CaseResult(CaseRef("", 0, 0, None), EvalCase(None), duration=1.0)
        owner, run = order["owner"], order["run"]
        number, attempt = case["number"], case["attempt"]
        self.say(
            owner,
            Report("task", run, number, attempt, [json.dumps(output), None]),
            Report("finished", run, number, attempt, outcome_of(result)),
        )


class Notices:
    """What all workers are told: the notices that a test waits for."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def say(self, name: str) -> list[Any]:
        """All that notices have said under a name so far."""
        return [each for notice in contents_of(self._broker, "notice") for each in notice[name]]

    def wait_for(self, name: str, value: Any) -> None:
        eventually(lambda: value in self.say(name))

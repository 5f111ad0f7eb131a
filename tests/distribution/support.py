"""Runs whose cases run on the workers of :mod:`.memory`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints
from flask_braintrust_evals.distribution.messaging.orders import RunOrder
from flask_braintrust_evals.distribution.owner.completion import CaseCompletion
from flask_braintrust_evals.distribution.owner.dispatcher import Dispatcher
from flask_braintrust_evals.distribution.owner.executor import RemoteExecutor
from flask_braintrust_evals.distribution.worker.worker_runs import ReceiveSpans
from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.running.run import Run

from .memory import MemoryBroker, Workers, new_dispatcher


class UnrecordedCases:
    """What runs cases on a worker whose spans nobody records."""

    def __init__(self, order: RunOrder, evaluator: Evaluator, receive_spans: ReceiveSpans) -> None:
        runner = CaseRunner(
            evaluator.plan,
            evaluator.parameter_set.validate(order.parameters),
            reserved_names=order.reserved_names,
        )
        self.executor: CaseExecutor = LocalExecutor(runner)

    def take_spans(self, trace_id: int) -> tuple[dict[str, Any] | None, list[Any]]:
        return None, []

    def close(self) -> None:
        pass


class Site:
    """A server and its workers."""

    def __init__(self, evaluators: Sequence[Evaluator], lease: float = 10.0) -> None:
        self.broker = MemoryBroker()
        self.workers = Workers(self.broker, evaluators, UnrecordedCases, lease=lease)
        self.dispatcher: Dispatcher = new_dispatcher(self.broker, lease)
        self._fingerprints = Fingerprints("")

    def new_run(
        self,
        evaluator: Evaluator,
        cases: Iterable[Any],
        *,
        parameters: Mapping[str, Any] | None = None,
        scorers: Sequence[ScorerCall] = (),
        max_concurrency: int = 4,
        **options: Any,
    ) -> Run:
        """A run that has not started. ``scorers`` are called by the server."""
        runner = CaseRunner(
            evaluator.plan, evaluator.parameter_set.validate(parameters), extra_scorers=scorers
        )
        completion = CaseCompletion(runner, scorers, lambda spans, lost: None)
        order = RunOrder(
            "",
            uuid.uuid4().hex,
            evaluator.name,
            self._fingerprints.of(evaluator),
            parameters,
            reserved_names=completion.reserved_names,
            error_scores=not completion.calls_error_handler,
        )
        ordered = self.dispatcher.open(order, max_concurrency)
        executor = RemoteExecutor(
            self.dispatcher, ordered, runner, completion, LocalExecutor(runner)
        )
        run = Run(executor, cases, max_concurrency=max_concurrency, **options)
        run.when_closed(executor.close)
        return run

    def stop(self) -> None:
        self.workers.stop()
        self.dispatcher.stop()


@contextmanager
def site(*evaluators: Evaluator, workers: int = 1, lease: float = 10.0) -> Iterator[Site]:
    """A server with some workers, which end with the block."""
    made = Site(evaluators, lease)
    for _ in range(workers):
        made.workers.start()
    try:
        yield made
    finally:
        made.stop()

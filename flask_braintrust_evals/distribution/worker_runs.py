"""The runs that a worker process has cases of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.executor import CaseExecutor

from .orders import RunOrder

MAX_IDLE_RUNS = 16
"""Runs without a case under way that are kept, so that their next case begins sooner."""

ReceiveSpans = Callable[[Any], None]


class WorkerRun(Protocol):
    """What runs the cases of one run in this process."""

    executor: CaseExecutor

    def take_spans(self, trace_id: int) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the spans of a case that has ended: its ``eval`` span, and the others, encoded."""

    def close(self) -> None:
        """Record no more spans."""


MakeRun = Callable[[RunOrder, Evaluator, ReceiveSpans], WorkerRun]
"""Makes what runs the cases of a run. The last argument takes spans that end after their case.

It raises an ``EvalsError`` if the parameters are not valid here.
"""


class _Kept:
    def __init__(self, run: WorkerRun, owner: str) -> None:
        self.run = run
        self.owner = owner
        self.users = 0


class WorkerRuns:
    """The runs, each made at its first case and kept for the next ones. Thread-safe.

    Args:
        make: makes a run.
    """

    def __init__(self, make: MakeRun) -> None:
        self._make = make
        self._lock = new_lock()
        self._runs: OrderedDict[str, _Kept] = OrderedDict()

    def use(self, order: RunOrder, evaluator: Evaluator, receive_spans: ReceiveSpans) -> WorkerRun:
        """Return the run of an order. Call :meth:`leave` when its cases are done."""
        with self._lock:
            kept = self._runs.get(order.run)
            if kept is not None:
                kept.users += 1
                self._runs.move_to_end(order.run)
                return kept.run
        made = self._make(order, evaluator, receive_spans)
        with self._lock:
            kept = self._runs.setdefault(order.run, _Kept(made, order.owner))
            kept.users += 1
        if kept.run is not made:
            made.close()
        return kept.run

    def leave(self, run_id: str) -> None:
        """Note that the cases of an order are done."""
        with self._lock:
            kept = self._runs.get(run_id)
            if kept is not None:
                kept.users -= 1
            idle = [each for each, kept in self._runs.items() if not kept.users]
            ended = [self._runs.pop(each) for each in idle[:-MAX_IDLE_RUNS]]
        for each in ended:
            each.run.close()

    def end(self, is_over: Callable[[str, str], bool]) -> None:
        """Cancel and forget runs.

        Args:
            is_over: returns whether to end a run, by its id and its owner.
        """
        with self._lock:
            over = [run for run, kept in self._runs.items() if is_over(run, kept.owner)]
            ended = [self._runs.pop(run) for run in over]
        for kept in ended:
            kept.run.executor.cancel()
            if not kept.users:
                kept.run.close()

    def owners(self) -> set[str]:
        """Return the owners of the runs that have a case under way."""
        with self._lock:
            return {kept.owner for kept in self._runs.values() if kept.users}

"""The runs that a worker process has cases of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.distribution.messaging.orders import RunOrder
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor

MAX_IDLE_RUNS = 16
"""Runs without a case under way that are kept, so that their next case begins sooner."""

ReceiveSpans = Callable[[Any], None]


class WorkerRun(Protocol):
    """Runs the cases of one run in this process."""

    executor: CaseExecutor

    def take_spans(self, trace_id: int) -> tuple[dict[str, Any] | None, list[Any]]:
        """Return the spans of a case that has ended: its ``eval`` span, and the others, encoded."""

    def close(self) -> None:
        """Record no more spans."""


MakeRun = Callable[[RunOrder, Evaluator, ReceiveSpans], WorkerRun]
"""Makes the object that runs the cases of a run.

The last argument takes spans that end after their case. It raises an ``EvalsError`` if the
parameters are not valid here.
"""


class KeptRun:
    """A run, while it is kept.

    Attributes:
        run: what runs its cases.
        owner: the name of its owner's queue.
        users: orders whose cases are under way.
        is_kept: whether it is kept for further orders.
        is_abandoned: whether it was cancelled because its owner was not heard of.
    """

    def __init__(self, run: WorkerRun, owner: str) -> None:
        self.run = run
        self.owner = owner
        self.users = 0
        self.is_kept = True
        self.is_abandoned = False


class WorkerRuns:
    """The runs, each made at its first case and kept for the next ones. Thread-safe.

    Args:
        make: makes a run.
    """

    def __init__(self, make: MakeRun) -> None:
        self._make = make
        self._lock = new_lock()
        self._runs: OrderedDict[str, KeptRun] = OrderedDict()

    def use(self, order: RunOrder, evaluator: Evaluator, receive_spans: ReceiveSpans) -> KeptRun:
        """Return the run of an order. Call :meth:`leave` when its cases are done."""
        with self._lock:
            kept = self._runs.get(order.run)
            if kept is not None:
                kept.users += 1
                self._runs.move_to_end(order.run)
                return kept
        made = self._make(order, evaluator, receive_spans)
        with self._lock:
            kept = self._runs.setdefault(order.run, KeptRun(made, order.owner))
            kept.users += 1
        if kept.run is not made:
            made.close()
        return kept

    def leave(self, left: KeptRun) -> None:
        """Note that the cases of an order are done."""
        with self._lock:
            left.users -= 1
            ended = [left] if not left.users and not left.is_kept else []
            idle = [run_id for run_id, kept in self._runs.items() if not kept.users]
            ended += [self._remove(run_id) for run_id in idle[:-MAX_IDLE_RUNS]]
        for each in ended:
            each.run.close()

    def end(self, is_over: Callable[[str, str], bool], is_abandoned: bool = False) -> bool:
        """Cancel and forget runs; return whether there was one.

        Args:
            is_over: returns whether to end a run, by its id and its owner.
            is_abandoned: whether its owner may still wait for it.
        """
        with self._lock:
            over = [run for run, kept in self._runs.items() if is_over(run, kept.owner)]
            ended = [self._remove(run_id) for run_id in over]
            idle = [kept for kept in ended if not kept.users]
            for kept in ended:
                kept.is_abandoned = is_abandoned  # before anything learns that it is cancelled
        with ExitStack() as all_of_them:  # each also if another one raises
            for kept in idle:
                all_of_them.callback(kept.run.close)
            for kept in ended:
                all_of_them.callback(kept.run.executor.cancel)
        return bool(ended)

    def _remove(self, run_id: str) -> KeptRun:
        kept = self._runs.pop(run_id)
        kept.is_kept = False
        return kept

"""Counts the tasks that go on in threads of their own after their time-out."""

from __future__ import annotations

import logging
from typing import Any

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.concurrency.job import Job

logger = logging.getLogger("flask_braintrust_evals")

WARN_EVERY = 100
"""Calls of one run between two warnings: each keeps a thread, which nothing limits."""

_lock = new_lock()
_of_process: list[Job[Any]] = []


class LateCalls:
    """The calls of one run that go on after their time-out.

    Args:
        evaluator: the evaluator's name, for the log.
    """

    def __init__(self, evaluator: str) -> None:
        self._evaluator = evaluator
        self._count = 0

    def add(self, job: Job[Any]) -> None:
        """Count a call, and warn of the first one.

        Args:
            job: the call, for which nobody waits any more.
        """
        with _lock:
            self._count += 1
            _of_process[:] = [each for each in _of_process if not each.ended_ns]
            _of_process.append(job)
            total = len(_of_process)
        if self._count % WARN_EVERY == 1:
            logger.warning(
                "evaluator %r: a task goes on although its task_timeout is over, and keeps its"
                " thread (such tasks in this process: %d); let it look at hooks.cancel_event",
                self._evaluator,
                total,
            )

"""Counts the tasks that go on in threads of their own after their time-out."""

from __future__ import annotations

import logging
from typing import Any
from weakref import WeakSet

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.concurrency.job import Job

logger = logging.getLogger("flask_braintrust_evals")

WARN_EVERY = 100
"""Calls of one run from one warning to the next. Each keeps a thread, and nothing limits them."""

_lock = new_lock()
_of_process: WeakSet[Job[Any]] = WeakSet()


class LateCalls:
    """The calls of one run that go on after their time-out."""

    def __init__(self, evaluator: str) -> None:
        self._evaluator = evaluator
        self._count = 0

    def add(self, job: Job[Any]) -> None:
        """Count a call for which nobody waits; warn of the first and of each hundredth after it."""
        with _lock:
            self._count += 1
            is_due = self._count % WARN_EVERY == 1
            _of_process.add(job)
            total = sum(not each.ended_ns for each in list(_of_process)) if is_due else 0
        if is_due:
            logger.warning(
                "evaluator %r: a task goes on although its task_timeout is over, and keeps its"
                " thread (such tasks in this process: %d); let it look at hooks.cancel_event",
                self._evaluator,
                total,
            )

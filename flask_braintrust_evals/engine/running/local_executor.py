"""Runs cases in this process."""

from __future__ import annotations

import contextvars

from flask_braintrust_evals.engine.values.attachments import AttachmentStore, current_store

from .cases.case_runner import CaseRunner
from .cases.executor import CaseJob, Emit


class LocalExecutor:
    """A :class:`CaseExecutor` that runs each case on the calling thread.

    Args:
        runner: runs each case.
        store: takes the large attachments in the values of the cases; ``None``: there is none.
    """

    def __init__(self, runner: CaseRunner, store: AttachmentStore | None = None) -> None:
        self._runner = runner
        self._store = store

    def run(self, job: CaseJob, emit: Emit) -> None:
        """Run one case; see :class:`CaseExecutor`."""
        # In an empty context: a case sees no context variable of the request, nor of another case.
        context = contextvars.Context()
        store = self._store if job.store is None else job.store
        if store is not None:
            context.run(current_store.set, store)
        context.run(self._runner.run, job, emit)

    def cancel(self) -> None:
        """Set the cancel events of running tasks, and cancel coroutines."""
        self._runner.cancellation.set()

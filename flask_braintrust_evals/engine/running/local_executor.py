"""Runs cases in this process."""

from __future__ import annotations

import contextvars

from .case_runner import CaseRunner
from .executor import CaseJob, Emit


class LocalExecutor:
    """A :class:`CaseExecutor` that runs each case on the calling thread.

    Args:
        runner: runs each case.
    """

    def __init__(self, runner: CaseRunner) -> None:
        self._runner = runner

    def run(self, job: CaseJob, emit: Emit) -> None:
        """Run one case; see :class:`CaseExecutor`."""
        # In an empty context: a case sees no context variable of the request, nor of another case.
        contextvars.Context().run(self._runner.run, job, emit)

    def cancel(self) -> None:
        """Set the cancel events of running tasks, and cancel coroutines."""
        self._runner.cancellation.set()

"""Counts the work of one check of a value, and lets other greenlets run now and then."""

from __future__ import annotations

import time
from contextvars import ContextVar

from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.errors import RequestError

MAX_SECONDS = 10.0
"""Seconds that the check of a value may take."""
_STEPS_PER_SLICE = 20
"""Steps after which other greenlets may run, under gevent."""


class Work:
    """The work of one check."""

    def __init__(self) -> None:
        self._steps = 0
        self._deadline = time.monotonic() + MAX_SECONDS

    def step(self) -> None:
        """Count a step that takes some microseconds.

        Raises:
            RequestError: the check takes too long.
        """
        self._steps += 1
        if self._steps % _STEPS_PER_SLICE == 0:
            self.pause()

    def pause(self) -> None:
        """Let other greenlets run, under gevent.

        Raises:
            RequestError: the check takes too long.
        """
        wait_for_turn(Turn.BEGIN)
        if time.monotonic() > self._deadline:
            raise RequestError(f"parameters: checking them takes more than {MAX_SECONDS:g} seconds")


current: ContextVar[Work] = ContextVar("work")
"""The work of the check that is under way."""

"""Limits how many runs a process has at a time."""

from __future__ import annotations

import threading

from flask_braintrust_evals.errors import TooManyRunsError


class RunSlots:
    """Counts the runs of a process up to a limit. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Take a slot. The caller must :meth:`release` it.

        Raises:
            TooManyRunsError: all slots are taken.
        """
        with self._lock:
            if self._taken >= self._limit:
                raise TooManyRunsError(
                    f"{self._limit} runs are under way in this process, which is its limit"
                    " (BRAINTRUST_EVALS_MAX_RUNS); try again soon"
                )
            self._taken += 1

    def release(self) -> None:
        """Release a slot."""
        with self._lock:
            self._taken -= 1

    @property
    def taken(self) -> int:
        """Number of slots that are taken."""
        return self._taken

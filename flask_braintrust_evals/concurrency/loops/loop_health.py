"""Says whether coroutines can run in this process.

Apart from the event loop, which a process that runs no coroutine does not import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LoopHealth:
    """Whether coroutines can run in this process.

    Attributes:
        blocked_for: seconds for which the event loop has been blocked; 0: it is not.
        given_up: number of loops that are blocked, and in whose place there is another one.
    """

    blocked_for: float = 0.0
    given_up: int = 0


_ask: Callable[[], LoopHealth] = LoopHealth


def loop_health() -> LoopHealth:
    """Return whether coroutines can run in this process."""
    return _ask()


def set_source(ask: Callable[[], LoopHealth]) -> None:
    """Have ``ask`` called to find out. Called once, by the module that makes event loops."""
    global _ask
    _ask = ask

"""What running a case needs of an evaluator, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .signatures import ScorerCall, TaskCall


@dataclass(frozen=True)
class CasePlan:
    """The user code of an evaluator, ready to be called. Made once per evaluator.

    Attributes:
        name: the evaluator's name.
        task: what is called first.
        scorers: what is then called with the task's output.
        classifiers: what is called after the scorers.
        error_score_handler: gives scores where the task or scorers failed; ``None``: nothing does.
        task_timeout: seconds that the task may take for one case; ``None``: no limit.
        blocking: whether the code is called in threads of the operating system's, because it may
            hold up its thread for long without giving way to gevent.
    """

    name: str
    task: TaskCall
    scorers: tuple[ScorerCall, ...] = ()
    classifiers: tuple[ScorerCall, ...] = ()
    error_score_handler: Callable[..., Any] | None = None
    task_timeout: float | None = None
    blocking: bool = False

"""The part of an evaluator that is needed to run a case."""

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
        task: called first.
        scorers: called with the output of the task.
        classifiers: called after the scorers, with the output of the task.
        error_score_handler: returns scores for a case whose task or scorers failed; ``None``: no
            scores are added.
        task_timeout: seconds that the task may take for one case; ``None``: no limit.
        blocking: whether the code is called in threads of the operating system, because it may
            compute for long without letting other greenlets run.
    """

    name: str
    task: TaskCall
    scorers: tuple[ScorerCall, ...] = ()
    classifiers: tuple[ScorerCall, ...] = ()
    error_score_handler: Callable[..., Any] | None = None
    task_timeout: float | None = None
    blocking: bool = False

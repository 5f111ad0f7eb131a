"""The part of an evaluator that is needed to run a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask_braintrust_evals.engine.values.names import free_name

from .signatures import ScorerCall, TaskCall

if TYPE_CHECKING:
    from flask_braintrust_evals.engine.values.summary import RunSummary


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
        retries: how often the task is called again for a case that it failed on.
    """

    name: str
    task: TaskCall
    scorers: tuple[ScorerCall, ...] = ()
    classifiers: tuple[ScorerCall, ...] = ()
    error_score_handler: Callable[..., Any] | None = None
    task_timeout: float | None = None
    blocking: bool = False
    retries: int = 0

    @property
    def names_of_failures(self) -> frozenset[str]:
        """The names under which failures of the scorers and classifiers are counted."""
        names = {call.name for call in (*self.scorers, *self.classifiers)}
        names |= {free_name(call.name, names) for call in self.classifiers}  # a scorer's, too
        return frozenset(names)

    def notes(self, summary: RunSummary) -> list[str]:
        """Return what may be a mistake in the cases of a run that has ended, a line each."""
        if not summary.cases or summary.with_expected:
            return []
        calls = (*self.scorers, *self.classifiers)
        names = [repr(call.name) for call in calls if "expected" in call.required]
        if not names:
            return []
        return [f"no case has an 'expected', which is an argument of {', '.join(names)}"]

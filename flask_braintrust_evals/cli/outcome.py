"""A run as the command line has it: with a bar, to its end or until Ctrl-C."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

import click

from flask_braintrust_evals.engine.case_runner import CaseRunner, Emit
from flask_braintrust_evals.engine.cases import EvalCase
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.events import CaseFinished, CaseResult, Event, RunFailed
from flask_braintrust_evals.engine.local import own_cases
from flask_braintrust_evals.engine.result import EvalResult
from flask_braintrust_evals.engine.run import Run
from flask_braintrust_evals.engine.summary import RunSummary

GRACE = 5.0
"""Seconds that running tasks have to end after Ctrl-C."""


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        result: of the cases that were done.
        error: why the run ended early; ``None`` where it did not.
        interrupted: whether that was Ctrl-C.
        too_low: what is wrong with each score that is not as high as it must be, by its name.
    """

    result: EvalResult
    error: str | None = None
    interrupted: bool = False
    too_low: dict[str, str] = field(default_factory=dict)

    def check(self, limits: Mapping[str, float]) -> None:
        """Compare the means of scores with the least that they must be."""
        for name, limit in limits.items():
            score = self.result.scores.get(name)
            mean = score.mean if score is not None else None
            if mean is None:
                self.too_low[name] = (
                    f"no case has the score {name}, which must be {limit:g} or more"
                )
            elif mean < limit:
                self.too_low[name] = f"{name} is {mean:.4f}, which must be {limit:g} or more"

    @property
    def is_good(self) -> bool:
        """Whether nothing failed, and no score is too low."""
        summary = self.result.summary
        return not (self.error or summary.failed or summary.scorer_errors or self.too_low)


def run(
    evaluator: Evaluator,
    cases: Iterable[Any] | None,
    parameters: Mapping[str, Any],
    *,
    max_concurrency: int | None,
    trial_count: int | None,
    default_concurrency: int,
    scope: Callable[[], AbstractContextManager[Any]],
) -> Outcome:
    """Run an evaluator, showing its progress on standard error where that is a terminal.

    Args:
        cases: default: the evaluator's own.

    Raises:
        EvalsError: a parameter is wrong, or there are no cases.
    """
    given = own_cases(evaluator) if cases is None else cases
    trials = trial_count or evaluator.trial_count
    runner = _Remembering(evaluator, evaluator.parameter_set.validate(parameters), scope=scope)
    one_run = Run(
        runner,
        given,
        max_concurrency=max_concurrency or evaluator.max_concurrency or default_concurrency,
        trial_count=trials,
        timeout=evaluator.timeout,
    )
    outcome = Outcome(EvalResult(evaluator.name, [], one_run.summary))
    total = operator.length_hint(given, 0) * trials or None
    with _bar(evaluator.name, total) as bar, closing(one_run.batches()) as batches:
        try:
            for batch in batches:
                bar.update(sum(_take(event, outcome) for event in batch))
        except KeyboardInterrupt:
            outcome.interrupted, outcome.error = True, "interrupted"
            one_run.close()
            one_run.wait_for_workers(GRACE)
            # Events that were on their way when Ctrl-C came are lost; what they told of is not.
            outcome.result = _result(evaluator.name, list(runner.done))
    outcome.result.results.sort(key=lambda each: (each.ref.index, each.ref.trial_index))
    return outcome


class _Remembering(CaseRunner):
    """Keeps what is done, whether or not anybody hears of it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.done: list[CaseResult] = []

    def run(self, case: EvalCase, index: int, trial_index: int, emit: Emit) -> CaseResult:
        result = super().run(case, index, trial_index, emit)
        self.done.append(result)
        return result


def _result(evaluator: str, results: list[CaseResult]) -> EvalResult:
    summary = RunSummary()
    for each in results:
        scores = {name: score.score for name, score in each.scores.items()}
        summary.add(scores, each.error is not None, each.scorer_errors)
    return EvalResult(evaluator, results, summary)


def _take(event: Event, outcome: Outcome) -> int:
    """Take in an event; return how many cases it finishes."""
    if isinstance(event, CaseFinished):
        result: CaseResult = event.result
        outcome.result.results.append(result)
        return 1
    if isinstance(event, RunFailed):
        outcome.error = f"{type(event.error).__name__}: {event.error}"
    return 0


class _NoBar:
    """Where nobody sees a bar, or nobody knows how long it would be."""

    def update(self, steps: int) -> None:
        pass


def _bar(label: str, total: int | None) -> AbstractContextManager[Any]:
    if total is None or not sys.stderr.isatty():
        return nullcontext(_NoBar())
    return click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True)

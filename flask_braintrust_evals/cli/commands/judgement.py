"""Decides whether outcomes are good: limits of scores and failures, and an earlier run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask_braintrust_evals.cli.judging.baseline import compare
from flask_braintrust_evals.cli.judging.max_failures import MaxFailures
from flask_braintrust_evals.cli.reports.result_json import saved_run
from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.cli.stored_results.saved_results import SavedResults
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.summary import cases_text


@dataclass(frozen=True)
class Judgement:
    """The limits that outcomes are compared with.

    Attributes:
        evaluators: all that are run.
        limits: the limits that the means of scores must reach, by name.
        max_failures: how many cases of a run may fail.
        baseline: the results of earlier runs; ``None``: there are none.
        tolerances: by how much the means of scores may be worse than there, by name.
        every: whether no score may be worse there by more than chance.
    """

    evaluators: Sequence[Evaluator]
    limits: Mapping[str, float]
    max_failures: MaxFailures
    baseline: SavedResults | None
    tolerances: Mapping[str, float]
    every: bool

    def judge(self, outcome: Outcome, evaluator: Evaluator) -> None:
        """Judge the outcome of one evaluator."""
        outcome.max_failures = self.max_failures
        outcome.check(_applicable(self.limits, evaluator, outcome, self.evaluators))
        if self.baseline is None:
            return
        before = self.baseline.of(evaluator.name)
        compared = compare(saved_run(outcome.result), before, self.baseline.file)
        outcome.baseline = compared
        tolerances = _applicable(self.tolerances, evaluator, outcome, self.evaluators)
        outcome.worse = compared.problems(tolerances, self.every)
        outcome.remarks += compared.remarks(outcome.worse)
        if compared.only_before or compared.only_now:
            outcome.remarks.append(
                f"{cases_text(compared.cases)} compared with {compared.file};"
                f" {compared.only_before} are only there, and {compared.only_now} only here"
            )

    def judge_all(self, outcomes: Sequence[Outcome]) -> None:
        """Find limits of scores that no outcome has."""
        if not outcomes:
            return
        scores = {name for each in outcomes for name in each.result.scores}
        scores |= {name for each in outcomes for name in each.limits}
        for name in self.limits.keys() - scores:
            outcomes[-1].check({name: self.limits[name]})


def _applicable(
    limits: Mapping[str, float],
    evaluator: Evaluator,
    outcome: Outcome,
    evaluators: Sequence[Evaluator],
) -> dict[str, float]:
    """Return those of the limits that are about scores of one evaluator.

    That are all of them if it is the only one, or else those of its scorers and of scores that it
    has.
    """
    own = {call.name for call in evaluator.plan.scorers} | outcome.result.scores.keys()
    return {name: limit for name, limit in limits.items() if len(evaluators) == 1 or name in own}

"""What the tests of the ``braintrust`` SDK's evaluators share."""

from __future__ import annotations

import asyncio
from typing import Any

from braintrust import framework

from flask_braintrust_evals import EvalsBlueprint, Evaluator
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk
from flask_braintrust_evals.engine.values.results import CaseResult

CASES = [{"input": "a", "expected": "a"}, {"input": "b", "expected": "x"}]


def echo(input: Any) -> Any:
    """The simplest task."""
    return input


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def sdk_evaluator(**fields: Any) -> Any:
    """An evaluator of the SDK, with no more than it must have but for ``fields``."""
    required: dict[str, Any] = {
        "project_name": "the project",
        "eval_name": "the evaluator",
        "data": [],
        "task": echo,
        "scores": [],
        "experiment_name": None,
        "metadata": None,
    }
    return framework.Evaluator(**{**required, **fields})


def run_by_sdk(evaluator: Any) -> list[Any]:
    """The results that the SDK itself has for an evaluator, without an experiment."""
    run = framework.run_evaluator(None, evaluator, None, [], enable_cache=False)
    return list(asyncio.run(run).results)


def run_by_us(evaluator: Any) -> list[CaseResult]:
    """The results that the same evaluator has here."""
    return from_sdk(evaluator).run().results


def both_outputs(evaluator: Any) -> tuple[list[Any], list[Any]]:
    """The outputs by the SDK and by us. No task may have failed."""
    theirs, ours = run_by_sdk(evaluator), run_by_us(evaluator)
    assert not [each.error for each in theirs if each.error]
    assert not [each.error for each in ours if each.error]
    return [each.output for each in theirs], [each.output for each in ours]


def both_scores(evaluator: Any) -> tuple[list[Any], list[Any]]:
    """The scores by the SDK and by us, as ``{name: value}`` for each case."""
    theirs, ours = run_by_sdk(evaluator), run_by_us(evaluator)
    assert not [each.scorer_errors for each in ours if each.scorer_errors]
    values = [{name: score.score for name, score in each.scores.items()} for each in ours]
    return [dict(each.scores) for each in theirs], values


def added(bp: EvalsBlueprint) -> Evaluator:
    """The only evaluator of a blueprint."""
    (evaluator,) = bp.registry
    return evaluator

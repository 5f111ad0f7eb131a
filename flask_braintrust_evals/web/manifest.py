"""The answer of ``/list``: every evaluator, in the form that the Playground checks.

Optional fields are absent, never ``null``: one of them would make the page refuse the whole list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters import UNSET, Parameter


def manifest(evaluators: Iterable[Evaluator]) -> dict[str, Any]:
    """Describe evaluators by name."""
    return {evaluator.name: _describe(evaluator) for evaluator in evaluators}


def _describe(evaluator: Evaluator) -> dict[str, Any]:
    description: dict[str, Any] = {
        "scores": [{"name": call.name} for call in evaluator.scorer_calls],
        "classifiers": [{"name": call.name} for call in evaluator.classifier_calls],
    }
    if len(evaluator.parameter_set):
        description["parameters"] = {
            "type": "braintrust.staticParameters",
            "source": None,
            "schema": {each.name: _parameter(each) for each in evaluator.parameter_set},
        }
    return description


def _parameter(parameter: Parameter) -> dict[str, Any]:
    description: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "data":
        description["schema"] = dict(parameter.schema)
    if parameter.default is not UNSET and parameter.default is not None:
        description["default"] = parameter.default
    if parameter.description is not None:
        description["description"] = parameter.description
    return description

"""The answer of ``/list``: every evaluator, in the form that the Playground checks.

Optional fields are absent, never ``null``: one ``null`` makes the Playground refuse the whole list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.engine.parameters.schemas import without_nulls
from flask_braintrust_evals.engine.parameters.values import UNSET, Parameter


def manifest(evaluators: Iterable[Evaluator]) -> dict[str, Any]:
    """Return the descriptions of evaluators by their names."""
    return {evaluator.name: _describe(evaluator) for evaluator in evaluators}


def detailed_manifest(evaluators: Iterable[Evaluator]) -> dict[str, Any]:
    """Return the descriptions with two more fields, which the Playground might refuse.

    Each has ``has_data``, which is true if the evaluator has cases of its own, and ``description``
    if the evaluator has one.
    """
    detailed: dict[str, Any] = {}
    for evaluator in evaluators:
        detailed[evaluator.name] = {**_describe(evaluator), "has_data": evaluator.data is not None}
        if evaluator.description:
            detailed[evaluator.name]["description"] = evaluator.description
    return detailed


def _describe(evaluator: Evaluator) -> dict[str, Any]:
    description: dict[str, Any] = {
        "scores": [{"name": call.name} for call in evaluator.plan.scorers],
        "classifiers": [{"name": call.name} for call in evaluator.plan.classifiers],
    }
    parameters = evaluator.parameter_set
    if isinstance(parameters, SavedParameterSet):
        description["parameters"] = _saved(parameters)
    elif len(parameters):
        description["parameters"] = {
            "type": "braintrust.staticParameters",
            "source": None,
            "schema": {each.name: _parameter(each) for each in parameters},
        }
    return description


def _saved(parameters: SavedParameterSet) -> dict[str, Any]:
    source = {
        "parametersId": parameters.source["id"],
        "slug": parameters.source["slug"],
        "name": parameters.source["name"],
        "projectId": parameters.source["project_id"],
        "version": parameters.source["version"],
    }
    return {
        "type": "braintrust.parameters",
        "schema": without_nulls(parameters.schema),
        "source": {key: value for key, value in source.items() if value is not None},
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    description: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "data":
        description["schema"] = dict(parameter.schema)
    if parameter.default is not UNSET and parameter.default is not None:
        description["default"] = parameter.default
    if parameter.description is not None:
        description["description"] = parameter.description
    return description

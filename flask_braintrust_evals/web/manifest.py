"""The answer of ``/list``: every evaluator, in the form that the Playground checks.

Optional fields are absent, never ``null``: one ``null`` makes the Playground refuse the whole list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.engine.parameters.schemas import without_refused_nulls
from flask_braintrust_evals.engine.parameters.values import UNSET, Parameter
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.json_reading import loads
from flask_braintrust_evals.plain_values import safe_text
from flask_braintrust_evals.serialization import encoded_or_reason

MAX_EXAMPLES = 3
"""Cases that are the examples of an evaluator."""
MAX_EXAMPLES_SIZE = 4_000
"""Bytes of an evaluator's examples, all together."""


def manifest(evaluators: Iterable[Evaluator]) -> dict[str, Any]:
    """Return the descriptions of evaluators by their names."""
    return {evaluator.name: _describe(evaluator) for evaluator in evaluators}


def detailed_manifest(evaluators: Iterable[Evaluator]) -> dict[str, Any]:
    """Return the descriptions with further fields, which the Playground might refuse.

    Each has ``has_data``, which is true if the evaluator has cases of its own, and ``description``
    if the evaluator has one. If the cases are a list, ``cases`` is their number, and ``examples``
    has the first ones, unless they are large. ``trial_count`` is there if cases have several trials
    by default, and ``own_trials`` if cases say themselves how many they have: the number of these
    ``cases`` and of their ``trials``. Parameters without a default are ``required``.
    """
    return {evaluator.name: _describe_in_detail(evaluator) for evaluator in evaluators}


def _describe_in_detail(evaluator: Evaluator) -> dict[str, Any]:
    data = evaluator.data
    detailed = {**_describe(evaluator), "has_data": data is not None}
    for parameter in _required(evaluator):
        detailed["parameters"]["schema"][parameter]["required"] = True
    if evaluator.description:
        detailed["description"] = evaluator.description
    if evaluator.trial_count > 1:
        detailed["trial_count"] = evaluator.trial_count
    if isinstance(data, list | tuple):
        detailed["cases"] = len(data)
        detailed["examples"] = _examples(data)
        counts = [count for each in data if (count := _own_trial_count(each))]
        if counts:
            detailed["own_trials"] = {"cases": len(counts), "trials": sum(counts)}
    return detailed


def _own_trial_count(case: Any) -> int | None:
    """Return how many trials a case says that it has. If it says nonsense, a run reports that."""
    if isinstance(case, Mapping):
        count = case.get("trial_count")
    else:
        count = getattr(case, "trial_count", None)
    return count if type(count) is int else None


def _required(evaluator: Evaluator) -> list[str]:
    """Return the names of the parameters without a default. Saved ones may have saved values."""
    parameters = evaluator.parameter_set
    if isinstance(parameters, SavedParameterSet):
        return []
    return [each.name for each in parameters if each.default is UNSET]


def _examples(data: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the first cases as JSON has them, as far as they are small.

    Other data than a list is not read: reading it may take long, or have effects.
    """
    examples: list[dict[str, Any]] = []
    size = 0
    for each in data[:MAX_EXAMPLES]:
        try:
            written = encoded_or_reason(_fields(EvalCase.of(each)))
        except DataError:  # a run says what is wrong
            break
        size += len(written)
        if size > MAX_EXAMPLES_SIZE:
            break
        examples.append(loads(written))
    return examples


def _fields(case: EvalCase) -> dict[str, Any]:
    fields = {"input": case.input}
    if case.expected is not None:
        fields["expected"] = case.expected
    if case.id is not None:
        fields["id"] = safe_text(case.id)
    if case.metadata:
        fields["metadata"] = case.metadata
    if case.tags:
        fields["tags"] = case.tags
    return fields


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
        "schema": without_refused_nulls(parameters.schema),
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

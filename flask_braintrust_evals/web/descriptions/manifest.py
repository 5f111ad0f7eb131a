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
from flask_braintrust_evals.engine.values.cases import EvalCase, own_trial_count
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.serialization.json_writing import encoded, encoded_or_reason
from flask_braintrust_evals.texts.safe_texts import safe_text

MAX_EXAMPLES = 3
"""Cases that are the examples of an evaluator."""
MAX_EXAMPLES_SIZE = 4_000
"""Bytes of an evaluator's examples, all together."""


def manifest(evaluators: Iterable[Evaluator]) -> dict[str, Any]:
    """Return the descriptions of evaluators by their names.

    The default of a prompt that the Playground would refuse is left out, with a warning in the log.
    """
    return {each.name: _without_refused_prompts(each, _describe(each)) for each in evaluators}


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
        counts = [count for each in data if (count := own_trial_count(each))]
        if counts:
            detailed["own_trials"] = {"cases": len(counts), "trials": sum(counts)}
    return detailed


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


def _without_refused_prompts(evaluator: Evaluator, described: dict[str, Any]) -> dict[str, Any]:
    if isinstance(evaluator.parameter_set, SavedParameterSet):
        return described  # the Playground takes any values in a schema that is saved
    for parameter in evaluator.parameter_set:
        if parameter.kind != "prompt" or parameter.default in (UNSET, None):
            continue
        # Here, because most evaluators have no prompts, and jsonschema takes long to import.
        from .listed_prompts import is_listed

        if not is_listed(evaluator.name, parameter.name, encoded(parameter.default)):
            del described["parameters"]["schema"][parameter.name]["default"]
    return described


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
        "schema": _saved_schema(without_refused_nulls(parameters.schema)),
        "source": {key: value for key, value in source.items() if value is not None},
    }


def _saved_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved schema in the form that the Playground takes: what it lacks is what it means.

    JSON Schema also has other forms, for which the Playground would refuse the whole list.
    """
    properties = schema.get("properties", {}).items()
    listed = {
        **schema,
        "type": "object",
        "properties": {name: each if isinstance(each, dict) else {} for name, each in properties},
    }
    if not isinstance(listed.get("additionalProperties", True), bool):
        del listed["additionalProperties"]
    return listed


def _parameter(parameter: Parameter) -> dict[str, Any]:
    description: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "data":
        description["schema"] = dict(parameter.schema)
    if parameter.default is not UNSET and parameter.default is not None:
        description["default"] = parameter.default
    if parameter.description is not None:
        description["description"] = parameter.description
    return description

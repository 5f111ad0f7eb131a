"""What options say: parameters as their declared types, and the means that scores must have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters import Parameter
from flask_braintrust_evals.engine.saved_parameters import SavedParameterSet


def parse_parameters(options: Sequence[str], evaluator: Evaluator) -> dict[str, Any]:
    """Return parameters by name.

    Texts are taken as they are where the parameter is declared as a string or a model; all else is
    read as JSON.

    Raises:
        click.BadParameter: an option is no ``KEY=VALUE``, names no parameter, or is not JSON.
    """
    return {name: _value(name, text, evaluator) for name, text in map(_pair, options)}


def parse_thresholds(options: Sequence[str]) -> dict[str, float]:
    """Return the least means by the names of scores.

    Raises:
        click.BadParameter: an option is no ``SCORE=NUMBER``, or the number is not from 0 to 1.
    """
    limits = {}
    for name, text in map(_pair, options):
        try:
            limits[name] = float(text)
        except ValueError:
            limits[name] = -1.0
        if not 0 <= limits[name] <= 1:
            raise click.BadParameter(f"{name}={text}: a mean is a number from 0 to 1")
    return limits


def _pair(option: str) -> tuple[str, str]:
    name, separator, text = option.partition("=")
    if not separator or not name:
        raise click.BadParameter(f"{option!r} is not of the form NAME=VALUE")
    return name, text


def _value(name: str, text: str, evaluator: Evaluator) -> Any:
    parameters = evaluator.parameter_set
    if isinstance(parameters, SavedParameterSet):
        schema = parameters.schema.get("properties", {}).get(name)
    else:
        declared = {each.name: each for each in parameters}
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise click.BadParameter(f"no parameter is named {name!r}; there are: {known}")
        schema = _schema(declared[name])
    if isinstance(schema, dict) and schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if schema is None or "type" not in schema:  # nothing says what it must be
            return text
        kind = schema["type"]
        raise click.BadParameter(
            f"{name}={text}: not valid JSON for type {kind}: {error}"
        ) from None


def _schema(parameter: Parameter) -> dict[str, Any]:
    if parameter.kind == "model":
        return {"type": "string"}
    if parameter.kind == "prompt":
        return {"type": "object"}
    return dict(parameter.schema)

"""What options say: parameters as their declared types, and the means that scores must have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.engine.parameters.schemas import json_type, referred
from flask_braintrust_evals.engine.parameters.values import Parameter

DEEPEST = 20
"""References that are followed, one to the other."""


def parse_parameters(options: Sequence[str], evaluator: Evaluator) -> dict[str, Any]:
    """Return parameters by name.

    A text is taken as it is where the parameter is a string or a model, and read as JSON where it
    is anything else. Where it may be either, it is read as JSON if that gives one of the other
    types; where nothing says what it is, if it is JSON.

    Raises:
        click.BadParameter: an option is no ``KEY=VALUE``, names no parameter, or is not JSON.
    """
    values = {}
    for option in options:
        name, text = _pair(option, option.partition("="), "--param")
        values[name] = _value(name, text, evaluator)
    return values


def parse_thresholds(options: Sequence[str]) -> dict[str, float]:
    """Return the least means by the names of scores.

    Raises:
        click.BadParameter: an option is no ``SCORE=NUMBER``, or the number is not from 0 to 1.
    """
    limits = {}
    for option in options:
        name, text = _pair(option, option.rpartition("="), "--fail-under")
        try:
            limits[name] = float(text)
        except ValueError:
            limits[name] = -1.0
        if not 0 <= limits[name] <= 1:
            raise _bad(f"{name}={text}: a mean is a number from 0 to 1", "--fail-under")
    return limits


def _pair(option: str, parts: tuple[str, str, str], hint: str) -> tuple[str, str]:
    name, separator, text = parts
    if not separator or not name:
        raise _bad(f"{option!r} is not of the form NAME=VALUE", hint)
    return name, text


def _bad(message: str, hint: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint=f"'{hint}'")


def _value(name: str, text: str, evaluator: Evaluator) -> Any:
    types = _declared(name, evaluator)
    if types == {"string"}:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if not types or "string" in types:
            return text
        wanted = " or ".join(sorted(types))
        raise _bad(
            f"{name}={text[:100]}: not valid JSON for type {wanted}: {error}", "--param"
        ) from None
    return text if "string" in types and not _is_any(value, types) else value


def _is_any(value: Any, types: set[str]) -> bool:
    kind = json_type(value)
    return kind in types or (kind == "integer" and "number" in types)


def _types(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str]:
    """The types that a schema allows, as JSON Schema names them; empty where it does not say."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return set()
    if schema.get("x-bt-type") == "model":
        return {"string"}
    given = schema.get("type")
    if given is not None:
        return {given} if isinstance(given, str) else set(given)
    if "const" in schema or "enum" in schema:
        return {json_type(each) for each in schema.get("enum", [schema.get("const")])}
    if "$ref" in schema:
        return _types(referred(root, str(schema["$ref"])), root, depth + 1)
    either = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
    return set().union(*(_types(each, root, depth + 1) for each in either))


def _declared(name: str, evaluator: Evaluator) -> set[str]:
    """The types of a parameter."""
    parameters = evaluator.parameter_set
    if name not in parameters.names:
        known = ", ".join(parameters.names) or "none"
        raise _bad(f"no parameter is named {name!r}; there are: {known}", "--param")
    if isinstance(parameters, SavedParameterSet):
        return _types(parameters.schema["properties"][name], parameters.schema)
    (declared,) = (each for each in parameters if each.name == name)
    schema = _schema_of(declared)
    return _types(schema, schema)


def _schema_of(parameter: Parameter) -> Mapping[str, Any]:
    if parameter.kind == "model":
        return {"type": "string"}
    if parameter.kind == "prompt":
        return {"type": "object"}
    return parameter.schema

"""Values of parameters in options, read as their declared types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.engine.parameters.schemas import json_type, referred
from flask_braintrust_evals.engine.parameters.values import Parameter
from flask_braintrust_evals.suggestions import did_you_mean

MAX_DEPTH = 20
"""Maximum nesting of references and alternatives in a schema that are followed."""


def parse_parameters(options: Sequence[str], evaluator: Evaluator) -> dict[str, Any]:
    """Return the values of parameters by name.

    The declared type of the parameter decides how a text is read:

    - a string or a model: as it is,
    - any other type: as JSON,
    - a string or another type: as JSON if that gives one of the types, else as it is,
    - no type: as JSON if it is JSON, else as it is.

    Raises:
        click.BadParameter: an option is not ``KEY=VALUE``, names no parameter, or its value must be
            JSON and is not.
    """
    values = {}
    for option in options:
        name, text = split_pair(option, option.partition("="), "--param")
        values[name] = _value(name, text, evaluator)
    return values


def split_pair(option: str, parts: tuple[str, str, str], hint: str) -> tuple[str, str]:
    """Return the name and the value of an option of the form ``NAME=VALUE``.

    Args:
        option: the option's text.
        parts: the text before its ``=``, the ``=``, and the text after it.
        hint: the option's name, for the message.

    Raises:
        click.BadParameter: it does not have this form.
    """
    name, separator, text = parts
    if not separator or not name:
        raise bad_option(f"{option!r} is not of the form NAME=VALUE", hint)
    return name, text


def bad_option(message: str, hint: str) -> click.BadParameter:
    """Return the error of an option whose value is wrong; ``hint`` is the option's name."""
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
        raise bad_option(
            f"{name}={text[:100]}: not valid JSON for type {wanted}: {error}", "--param"
        ) from None
    return text if "string" in types and not _is_any(value, types) else value


def _is_any(value: Any, types: set[str]) -> bool:
    kind = json_type(value)
    return kind in types or (kind == "integer" and "number" in types)


def _types(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str]:
    """Return the types that a schema allows, by JSON Schema's names; empty: it names none."""
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return set()
    if schema.get("x-bt-type") == "model":
        return {"string"}
    declared = schema.get("type")
    if declared is not None:
        return {declared} if isinstance(declared, str) else set(declared)
    if "const" in schema or "enum" in schema:
        return {json_type(each) for each in schema.get("enum", [schema.get("const")])}
    if "$ref" in schema:
        return _types(referred(root, str(schema["$ref"])), root, depth + 1)
    if schema.get("allOf"):
        return _common([_types(each, root, depth + 1) for each in schema["allOf"]])
    members = schema.get("anyOf") or schema.get("oneOf") or []
    allowed = [_types(each, root, depth + 1) for each in members]
    return set().union(*allowed) if all(allowed) else set()


def _common(allowed: list[set[str]]) -> set[str]:
    """Return the types that all of these sets allow. An empty set allows any type."""
    common: set[str] = set()
    for types in filter(None, allowed):
        # A number may be an integer, and so both allow integers.
        wide = types | {"integer"} if "number" in types else types
        if common:
            common_wide = common | {"integer"} if "number" in common else common
            found = common_wide & wide
            common = found - {"integer"} if "number" in found else found
        else:
            common = types
    return common


def _declared(name: str, evaluator: Evaluator) -> set[str]:
    """Return the types that a parameter is declared with; empty: none."""
    parameters = evaluator.parameter_set
    if name not in parameters.names:
        hint = did_you_mean(name, parameters.names)
        raise bad_option(f"no parameter is named {name!r}; {hint}", "--param")
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

"""Values of parameters in options, read as their declared types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.engine.parameters.schemas import json_type, referred
from flask_braintrust_evals.serialization.strict_json import parse_json
from flask_braintrust_evals.texts.suggestions import did_you_mean

_EXAMPLES = {
    "boolean": "true",
    "integer": "5",
    "number": "0.5",
    "array": '["a", "b"]',
    "object": '{"a": 1}',
    "prompt": '{"prompt": {"type": "chat", "messages": [...]}, "options": {"model": ...}}',
}
"""A value of each type in JSON."""
_KINDS = {"model": "string", "prompt": "prompt"}
"""How a value of a parameter that has no schema is read."""
MAX_DEPTH = 20
"""Maximum nesting of references and alternatives in a schema that are followed."""


def parse_parameters(
    options: Sequence[str], params_file: str | None, evaluators: Sequence[Evaluator]
) -> list[dict[str, Any]]:
    """Return for each evaluator the values of its parameters by name.

    Options have priority over the file. Each name must be that of a parameter of at least one of
    the evaluators.

    Args:
        options: each as ``KEY=VALUE``, or as ``KEY=@FILE`` if the text is in a file; ``@@`` stands
            for an ``@`` at the beginning of a text.
        params_file: a file with a JSON object.
        evaluators: at least one.

    Raises:
        click.BadParameter: an option is not ``KEY=VALUE``, names no parameter, or its value must be
            JSON and is not.
        click.UsageError: a file cannot be read, or has no JSON object.
    """
    of_file = {} if params_file is None else _object_in(params_file)
    texts = {}
    for option in options:
        name, text = split_pair(option, option.partition("="), "--param")
        texts[name] = _content(name, text)
    known = dict.fromkeys(name for each in evaluators for name in each.parameter_set.names)
    for name, hint in (*((name, "--params") for name in of_file), *((n, "--param") for n in texts)):
        if name not in known:
            raise bad_option(f"no parameter is named {name!r}; {did_you_mean(name, known)}", hint)
    return [_values_of(each, texts, of_file) for each in evaluators]


def _values_of(
    evaluator: Evaluator, texts: Mapping[str, str], of_file: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of parameters of one evaluator by name.

    The declared type of the parameter decides how a text is read:

    - a string or a model: as it is,
    - any other type: as JSON,
    - a string or another type: as JSON if that gives one of the types, else as it is,
    - no type: as JSON if it is JSON, else as it is.
    """
    names = evaluator.parameter_set.names
    values = {name: value for name, value in of_file.items() if name in names}
    for name, text in texts.items():
        if name in names:
            values[name] = _value(name, text, evaluator)
    return values


def _content(name: str, text: str) -> str:
    """Return the text of an option: itself, or that of the file that it names."""
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    return _text_in(text[1:], f"--param {name}")


def _object_in(file: str) -> dict[str, Any]:
    try:
        value = parse_json(_text_in(file, "--params"))
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--params: {file} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f"--params: {file} must hold a JSON object of values by name")
    return value


def _text_in(file: str, option: str) -> str:
    try:
        return Path(file).read_text("utf-8-sig")
    except OSError as error:
        problem = error.strerror or str(error)
        raise click.UsageError(f"{option}: {file} cannot be read: {problem}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"{option}: {file} is not UTF-8") from None


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
        value = parse_json(text)
    except json.JSONDecodeError as error:
        if not types or "string" in types:
            return text
        wanted = " or ".join(sorted(types))
        example = next((_EXAMPLES[each] for each in sorted(types) if each in _EXAMPLES), "null")
        problem = f"not valid JSON for type {wanted}, such as {example}: {error}"
        raise bad_option(f"{name}={text.strip()[:100]}: {problem}", "--param") from None
    return text if "string" in types and not _is_any(value, types) else value


def _is_any(value: Any, types: set[str]) -> bool:
    kind = json_type(value)
    return kind in types or (kind == "integer" and "number" in types)


def schema_types(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str]:
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
        return schema_types(referred(root, str(schema["$ref"])), root, depth + 1)
    if schema.get("allOf"):
        return _common([schema_types(each, root, depth + 1) for each in schema["allOf"]])
    members = schema.get("anyOf") or schema.get("oneOf") or []
    allowed = [schema_types(each, root, depth + 1) for each in members]
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
    if isinstance(parameters, SavedParameterSet):
        return schema_types(parameters.schema["properties"][name], parameters.schema)
    (declared,) = (each for each in parameters if each.name == name)
    if declared.kind in _KINDS:
        return {_KINDS[declared.kind]}
    return schema_types(declared.schema, declared.schema)

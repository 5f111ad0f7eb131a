"""Prepares JSON Schemas for the Playground, which follows no references and accepts few nulls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from flask_braintrust_evals.errors import RegistrationError

_DEFINITIONS = ("$defs", "definitions")
_NEVER_NULL = ("default", "description", "title")
"""If one of these is ``null`` in a schema, the Playground rejects the whole list of evaluators."""


def whole_schema(schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a schema in which each ``$ref`` is replaced by its target.

    Args:
        schema: a JSON Schema.
        where: the evaluator and the parameter, for messages.

    Raises:
        RegistrationError: it is not a JSON Schema, or the target of a reference is missing or
            contains the reference.
    """
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        return _resolve(without_refused_nulls(schema))
    except jsonschema.SchemaError as error:
        raise RegistrationError(f"{where}: not a JSON Schema: {error.message}") from None
    except Unresolvable as error:
        raise RegistrationError(f"{where}: the reference {error.ref!r} leads nowhere") from None
    except RecursionError as error:
        raise RegistrationError(f"{where}: the reference {error} leads back to itself") from None


def without_refused_nulls(schema: Any) -> Any:
    """Return a schema without the nulls that make the Playground reject the whole list."""
    if isinstance(schema, list):
        return [without_refused_nulls(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: without_refused_nulls(each)
        for key, each in schema.items()
        if each is not None or key not in _NEVER_NULL
    }


def referred(schema: Mapping[str, Any], reference: str) -> Any:
    """Return the target of a reference within a schema; ``None`` if there is none."""
    try:
        return _resolver(schema).lookup(reference).contents
    except Unresolvable:
        return None


def path_text(steps: Iterable[Any]) -> str:
    """Return the path to a part of a value as Python writes it, such as ``['a'][0]``."""
    return "".join(f"[{step!r}]" for step in steps)


def json_type(value: Any) -> str:
    """Return JSON's name for the type of ``value``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "integer"), (float, "number"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _resolver(schema: Mapping[str, Any]) -> Any:
    resource = DRAFT202012.create_resource(dict(schema))
    return Registry().with_resource("", resource).resolver()


def _resolve(schema: Mapping[str, Any]) -> dict[str, Any]:
    def resolve(node: Any, resolver: Any, within: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [resolve(each, resolver, within) for each in node]
        if not isinstance(node, Mapping):
            return node
        reference = node.get("$ref")
        beside = {key: resolve(each, resolver, within) for key, each in node.items()}
        if not isinstance(reference, str):
            return beside
        del beside["$ref"]
        if reference in within:
            raise RecursionError(reference)
        found = resolver.lookup(reference)
        target = resolve(found.contents, found.resolver, (*within, reference))
        return {**target, **beside} if isinstance(target, Mapping) else target

    resolved = resolve(
        {k: v for k, v in schema.items() if k not in _DEFINITIONS}, _resolver(schema), ()
    )
    assert isinstance(resolved, dict)
    return resolved

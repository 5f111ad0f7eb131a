"""The JSON Schema of the answer of ``/list``; a little stricter than the Playground's own."""

from __future__ import annotations

from typing import Any

from .listed_prompts import LISTED_PROMPT, object_schema

_TEXT = {"type": "string"}
_LEVELS = 8
"""Levels of a prompt that are checked: down to the parts of its messages, and a little further."""


def _without_nulls(levels: int = _LEVELS) -> dict[str, Any]:
    """Return a schema that refuses null, also in the objects and arrays inside.

    It has no ``$ref``, so that it can be copied into other documents.
    """
    if levels == 0:
        return {"not": {"type": "null"}}
    inside = _without_nulls(levels - 1)
    return {"not": {"type": "null"}, "additionalProperties": inside, "items": inside}


def _closed(*required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of objects with these properties and no others."""
    return {**object_schema(*required, **properties), "additionalProperties": False}


_NOT_NULL = {"not": {"type": "null"}}
_NAMED = {"type": "array", "items": _closed("name", name={"type": "string", "minLength": 1})}
_DATA = _closed(
    "type",
    "schema",
    type={"const": "data"},
    schema={
        "type": "object",
        # The reader of a single schema cannot resolve references.
        "not": {"anyOf": [{"required": ["$ref"]}, {"required": ["$defs"]}]},
        "properties": {"description": _TEXT, "default": _NOT_NULL},
    },
    default=_NOT_NULL,
    description=_TEXT,
)
_MODEL = _closed("type", type={"const": "model"}, default=_TEXT, description=_TEXT)
_PROMPT = _closed(
    "type",
    type={"const": "prompt"},
    default={"allOf": [_without_nulls(), LISTED_PROMPT]},
    description=_TEXT,
)
_STATIC = _closed(
    "type",
    "schema",
    "source",
    type={"const": "braintrust.staticParameters"},
    source={"type": "null"},
    schema={
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"oneOf": [_DATA, _MODEL, _PROMPT]},
    },
)
_SAVED = _closed(
    "type",
    "schema",
    "source",
    type={"const": "braintrust.parameters"},
    schema=object_schema(
        "type",
        "properties",
        type={"const": "object"},
        properties={"type": "object", "additionalProperties": {"type": "object"}},
        required={"type": "array", "items": _TEXT},
        additionalProperties={"type": "boolean"},
    ),
    source=_closed(
        "slug",
        "name",
        **dict.fromkeys(("parametersId", "slug", "name", "projectId", "version"), _TEXT),
    ),
)

MANIFEST_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Evaluators by name",
    "type": "object",
    "additionalProperties": _closed(
        "scores",
        "classifiers",
        scores=_NAMED,
        classifiers=_NAMED,
        parameters={"oneOf": [_STATIC, _SAVED]},
    ),
}

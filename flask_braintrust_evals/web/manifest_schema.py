"""The JSON Schema of the answer of ``/list``; a little stricter than the Playground's own."""

from __future__ import annotations

from typing import Any

from .listed_prompts import LISTED_PROMPT

_TEXT = {"type": "string"}
_NAMED = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "minLength": 1}},
        "additionalProperties": False,
    },
}
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


_DATA = {
    "type": "object",
    "required": ["type", "schema"],
    "properties": {
        "type": {"const": "data"},
        "schema": {
            "type": "object",
            # The reader of a single schema cannot resolve references.
            "not": {"anyOf": [{"required": ["$ref"]}, {"required": ["$defs"]}]},
            "properties": {"description": _TEXT, "default": {"not": {"type": "null"}}},
        },
        "default": {"not": {"type": "null"}},
        "description": _TEXT,
    },
    "additionalProperties": False,
}
_MODEL = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"const": "model"}, "default": _TEXT, "description": _TEXT},
    "additionalProperties": False,
}
_PROMPT = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"const": "prompt"},
        "default": {"allOf": [_without_nulls(), LISTED_PROMPT]},
        "description": _TEXT,
    },
    "additionalProperties": False,
}
_STATIC = {
    "type": "object",
    "required": ["type", "schema", "source"],
    "properties": {
        "type": {"const": "braintrust.staticParameters"},
        "source": {"type": "null"},
        "schema": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"oneOf": [_DATA, _MODEL, _PROMPT]},
        },
    },
    "additionalProperties": False,
}
_SAVED = {
    "type": "object",
    "required": ["type", "schema", "source"],
    "properties": {
        "type": {"const": "braintrust.parameters"},
        "schema": {
            "type": "object",
            "required": ["type", "properties"],
            "properties": {
                "type": {"const": "object"},
                "properties": {"type": "object", "additionalProperties": {"type": "object"}},
                "required": {"type": "array", "items": _TEXT},
                "additionalProperties": {"type": "boolean"},
            },
        },
        "source": {
            "type": "object",
            "required": ["slug", "name"],
            "properties": {
                name: _TEXT for name in ("parametersId", "slug", "name", "projectId", "version")
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}

MANIFEST_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Evaluators by name",
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["scores", "classifiers"],
        "properties": {
            "scores": _NAMED,
            "classifiers": _NAMED,
            "parameters": {"oneOf": [_STATIC, _SAVED]},
        },
        "additionalProperties": False,
    },
}

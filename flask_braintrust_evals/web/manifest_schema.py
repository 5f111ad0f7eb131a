"""The JSON Schema of what ``/list`` answers, as strict as the Playground is and a little more."""

from __future__ import annotations

from typing import Any

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
"""How deep prompts are looked into: to the parts of their messages, and a little beyond."""


def _without_nulls(levels: int = _LEVELS) -> dict[str, Any]:
    """A schema that refuses null, in objects and arrays inside too. Written out, without ``$ref``,

    so that it can be part of other documents.
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
            # Whoever reads it has nothing to look up in.
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
        "default": {
            "allOf": [_without_nulls()],
            "type": "object",
            "properties": {
                "prompt": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"enum": ["chat", "completion"]}},
                },
                "options": {"type": "object"},
            },
        },
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
        "schema": {"type": "object"},
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

"""The form of a prompt that may be a default in the answer of ``/list``.

A task may build other prompts, such as ones with the messages of another library. The Playground
refuses the whole list for one of them.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from flask_braintrust_evals.engine.parameters.schemas import path_text
from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.texts.excerpts import shortened

logger = logging.getLogger("flask_braintrust_evals")

_MAX_TOLD = 1_000
"""Parameters whose check is remembered, so that each is logged once."""
_TEXT = {"type": "string"}
_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


def object_schema(*required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of objects with these properties, of which some must be there."""
    return {"type": "object", "required": list(required), "properties": properties}


def _by(key: str, forms: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of objects whose form depends on the text under one key."""
    return {
        **object_schema(key, **{key: {"enum": list(forms)}}),
        "allOf": [
            {"if": {"required": [key], "properties": {key: {"const": value}}}, "then": form}
            for value, form in forms.items()
        ],
    }


def _parts(forms: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of the content of a message: text, or parts of these types."""
    return {"type": ["string", "array"], "items": _by("type", forms)}


_CACHED = {
    "cache_control": object_schema("type", type={"const": "ephemeral"}, ttl={"enum": ["5m", "1h"]})
}
_TEXT_PART = {"text": object_schema(text=_TEXT, **_CACHED)}
_PART = {
    **_TEXT_PART,
    "image_url": object_schema(
        "image_url",
        image_url=object_schema("url", url=_TEXT, detail={"enum": ["auto", "low", "high"]}),
        **_CACHED,
    ),
    "input_audio": object_schema(
        "input_audio",
        input_audio=object_schema("data", "format", data=_TEXT, format={"enum": ["wav", "mp3"]}),
        **_CACHED,
    ),
    "file": object_schema(
        "file", file=object_schema(file_data=_TEXT, filename=_TEXT, file_id=_TEXT), **_CACHED
    ),
}
_CALL = object_schema("name", "arguments", name=_TEXT, arguments=_TEXT)
_INSTRUCTION = object_schema("content", content=_parts(_TEXT_PART), name=_TEXT)
_MESSAGE = _by(
    "role",
    {
        "system": _INSTRUCTION,
        "developer": _INSTRUCTION,
        "user": object_schema("content", content=_parts(_PART), name=_TEXT),
        "assistant": object_schema(
            content=_parts(_TEXT_PART),
            name=_TEXT,
            function_call=_CALL,
            tool_calls={
                "type": "array",
                "items": object_schema(
                    "id", "type", "function", id=_TEXT, type={"const": "function"}, function=_CALL
                ),
            },
            reasoning={"type": "array", "items": object_schema(id=_TEXT, content=_TEXT)},
            reasoning_signature=_TEXT,
        ),
        "tool": object_schema("content", content=_parts(_TEXT_PART), tool_call_id=_TEXT),
        "function": object_schema("content", "name", content=_TEXT, name=_TEXT),
        "model": object_schema(content=_TEXT),
    },
)
_FUNCTION_TYPES = (
    "llm scorer task tool custom_view preprocessor facet classifier tag parameters sandbox".split()
)
_FUNCTION = _by(
    "type",
    {
        "function": object_schema("id", id=_TEXT, version=_TEXT),
        "global": object_schema("name", name=_TEXT, function_type={"enum": _FUNCTION_TYPES}),
    },
)
_SERVER = {
    "is_disabled": {"type": "boolean"},
    "enabled_tools": {"type": "array", "items": _TEXT},
}
# PromptData in js/src/generated_types.ts of the braintrust SDK, 3.35.0, without null: a default
# has none.
LISTED_PROMPT: dict[str, Any] = object_schema(
    prompt=_by(
        "type",
        {
            "chat": object_schema(
                "messages", messages={"type": "array", "items": _MESSAGE}, tools=_TEXT
            ),
            "completion": object_schema("content", content=_TEXT),
        },
    ),
    options=object_schema(
        model=_TEXT,
        position=_TEXT,
        endpoint_name=_TEXT,
        params=object_schema(
            use_cache={"type": "boolean"},
            reasoning_enabled={"type": "boolean"},
            reasoning_budget={"type": "number"},
        ),
    ),
    template_format={"enum": ["mustache", "nunjucks", "none"]},
    tool_functions={"type": "array", "items": _FUNCTION},
    preprocessor=_by(
        "type",
        {
            "function": object_schema("id", id=_TEXT, version=_TEXT),
            "global": object_schema("name", name=_TEXT, function_type={"const": "preprocessor"}),
            "inline": object_schema("code", code={"type": "string", "minLength": 1}),
        },
    ),
    parser=object_schema(
        "type",
        "use_cot",
        type={"const": "llm_classifier"},
        use_cot={"type": "boolean"},
        choice_scores={
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
        },
        choice={"type": "array", "items": _TEXT},
        allow_no_match={"type": "boolean"},
        allow_skip={"type": "boolean"},
    ),
    mcp={
        "type": "object",
        "additionalProperties": _by(
            "type",
            {
                "id": object_schema("id", id={"type": "string", "pattern": _UUID}, **_SERVER),
                "url": object_schema("url", url=_TEXT, **_SERVER),
            },
        ),
    },
    origin=object_schema(prompt_id=_TEXT, project_id=_TEXT, prompt_version=_TEXT),
)
"""The JSON Schema of such a prompt."""


@functools.lru_cache(maxsize=_MAX_TOLD)
def is_listed(evaluator: str, parameter: str, default: bytes) -> bool:
    """Return whether the default of a prompt may be listed. If not, a warning says why, once.

    Args:
        evaluator: the name of the evaluator.
        parameter: the name of the parameter.
        default: the default as JSON.
    """
    error = best_match(Draft202012Validator(LISTED_PROMPT).iter_errors(loads(default)))
    if error is None:
        return True
    logger.warning(
        "evaluator %r: parameter %r%s: %s; for such a default, the Playground would refuse all"
        " evaluators, and so it gets this prompt without one",
        evaluator,
        parameter,
        path_text(error.absolute_path),
        shortened(error.message),
    )
    return False

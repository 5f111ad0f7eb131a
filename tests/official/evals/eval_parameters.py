"""Evaluators with every kind of parameter that the SDK documents. Tasks return what they saw."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

import enum
import os
from typing import Any

from braintrust import Eval
from pydantic import BaseModel, Field

MODEL = os.environ["EXAMPLE_MODEL"]


class Prefix(BaseModel):
    value: str = Field(default="hi", description="First word")


class Count(BaseModel):
    value: int = Field(default=1, ge=1)


class Loud(BaseModel):
    value: bool = False


class Words(BaseModel):
    value: list[str] = Field(default=["a", "b"])


class Tone(enum.Enum):
    FRIENDLY = "friendly"
    STRICT = "strict"


class Style(BaseModel):
    """How an answer is written."""

    tone: Tone = Tone.FRIENDLY
    words: int = 100


class Word(BaseModel):
    value: str


class Range(BaseModel):
    low: int
    high: int = 10


PROMPT = {
    "prompt": {
        "type": "chat",
        "messages": [
            {"role": "system", "content": "You are brief."},
            {"role": "user", "content": "Greet {{name}}."},
        ],
    },
    "options": {"model": MODEL, "params": {"temperature": 0}},
}


def plain(value: Any) -> Any:
    """A parameter's value as a text in which each type looks different."""
    if isinstance(value, BaseModel):
        return {"model": type(value).__name__, **value.model_dump(mode="json")}
    if hasattr(value, "build"):
        built = value.build(name="Ada")
        return {"prompt": {key: built.get(key) for key in ("model", "messages", "temperature")}}
    return value


def seen(input: Any, hooks: Any) -> Any:
    """The parameters named in the input, or all of them."""
    names = input or sorted(hooks.parameters)
    return {name: plain(hooks.parameters[name]) for name in names}


def got(input: Any, hooks: Any) -> Any:
    return [plain(hooks.parameters.get("prefix")), hooks.parameters.get("unheard-of", "nothing")]


def none_seen(input: Any, hooks: Any) -> Any:
    return repr(hooks.parameters)


def is_dict(output: Any) -> bool:
    return isinstance(output, dict)


ALL: dict[str, Any] = {
    "prefix": Prefix,
    "count": Count,
    "loud": Loud,
    "words": Words,
    "style": Style,
    "model": {
        "type": "model",
        "default": MODEL,
        "description": "Which model",
    },
    "main": {"type": "prompt", "default": PROMPT, "description": "What is asked"},
    "notes": None,
}
REQUIRED: dict[str, Any] = {
    "word": Word,
    "range": Range,
    "engine": {"type": "model"},
    "ask": {"type": "prompt"},
}

Eval("parameters", data=[], task=seen, scores=[is_dict], parameters=ALL)
Eval("parameters got", data=[], task=got, scores=[is_dict], parameters=ALL)
Eval("required parameters", data=[], task=seen, scores=[is_dict], parameters=REQUIRED)
Eval("no parameters", data=[], task=none_seen, scores=[is_dict])
Eval("empty parameters", data=[], task=none_seen, scores=[is_dict], parameters={})

"""Reads the first errors that pydantic found: there may be one for each item of a large value."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from .schemas import json_type

_MANY = 100
"""Errors from which they are not made into Python's objects, which takes long for all of them."""


def first_errors(error: ValidationError, count: int) -> list[dict[str, Any]]:
    """Return the first errors: ``type``, ``loc``, ``msg``, and ``input`` unless there are many."""
    if error.error_count() <= _MANY:
        return [dict(each) for each in error.errors(include_url=False)[:count]]
    text = error.json(include_url=False, include_context=False, include_input=False)
    read = json.JSONDecoder().raw_decode
    errors: list[dict[str, Any]] = []
    position = 1  # after the bracket; each error is followed by a comma
    while len(errors) < count:
        each, position = read(text, position)
        errors.append(each)
        position += 1
    return errors


def found(error: dict[str, Any]) -> str:
    """Return JSON's name for the type of the value that an error is about; empty: not known."""
    return json_type(error["input"]) if "input" in error else ""

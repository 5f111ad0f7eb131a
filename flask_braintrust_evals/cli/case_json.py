"""Reads JSON as its standard has it."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        json.JSONDecodeError: it is not valid JSON. ``NaN`` and ``Infinity`` are not.
    """

    def refuse(constant: str) -> Any:
        raise json.JSONDecodeError(f"{constant} is no JSON value", text, text.find(constant))

    return json.loads(text, parse_constant=refuse)

"""Reads JSON as its standard has it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        json.JSONDecodeError: it is not valid JSON, as ``NaN`` and ``Infinity`` are not, or has an
            integer of more digits than Python reads.
    """

    def refuse(constant: str) -> Any:
        raise json.JSONDecodeError(f"{constant} is no JSON value", text, text.find(constant))

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError:
        raise
    except ValueError:
        limit = sys.get_int_max_str_digits()
        found = re.search(f"[0-9]{{{limit + 1},}}", text)
        place = found.start() if found else 0
        problem = f"an integer has more than {limit} digits"
        raise json.JSONDecodeError(problem, text, place) from None

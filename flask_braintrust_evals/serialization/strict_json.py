"""Reads JSON strictly by its standard."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any

from flask_braintrust_evals.texts.excerpts import MAX_QUOTED, shortened


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        json.JSONDecodeError: it is not valid JSON, as ``NaN`` and ``Infinity`` are not, is nested
            too deeply, has an integer of more digits than Python reads, or another number that is
            larger than a float can be.
    """

    def refuse(constant: str) -> Any:
        raise json.JSONDecodeError(f"{constant} is no JSON value", text, text.find(constant))

    def finite(number: str) -> float:
        value = float(number)
        if math.isinf(value):
            problem = f"{shortened(number, MAX_QUOTED)} is larger than a float can be"
            raise json.JSONDecodeError(problem, text, text.find(number))
        return value

    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, 0) from None
    except ValueError:
        limit = sys.get_int_max_str_digits()
        found = re.search(f"(?<![0-9])[0-9]{{{limit + 1},}}", text)
        place = found.start() if found else 0
        problem = f"an integer has more than {limit} digits"
        raise json.JSONDecodeError(problem, text, place) from None

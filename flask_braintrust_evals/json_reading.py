"""Reads JSON texts, with integers of any size.

The parser that is used for its speed reads integers beyond 64 bits as floats, and so as other
numbers. Texts that may have such integers, which are few, are read by the standard library's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

_DIGITS = bytes(ord("0") if chr(code).isdecimal() else code for code in range(128)) + bytes(128)
_LONG = (b"0" * 20, b"-" + b"0" * 19)
"""What at least an integer has that is too large or too small, with each of its digits as ``0``."""


def loads(text: bytes | str, pause: Callable[[], None] = lambda: None) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text.
        pause: called between two steps, each of which takes long if the text is large.

    Raises:
        orjson.JSONDecodeError: it is not JSON, or an integer has more than 309 digits.
    """
    value = orjson.loads(text)
    data = text if isinstance(text, bytes) else text.encode()
    if len(data) < 20 or not _may_have_large_integers(data):
        return value
    del value
    pause()
    try:
        return json.loads(data)
    except RecursionError:
        reason = "large integers in a value that is nested too deep"
        raise orjson.JSONDecodeError(reason, "", 0) from None


def _may_have_large_integers(data: bytes) -> bool:
    digits = data.translate(_DIGITS)
    return any(each in digits for each in _LONG)

"""Quotes values in messages: shortened, or by the names of their types."""

from __future__ import annotations

import reprlib
from typing import Any

MAX_QUOTED = 200
"""Characters of a value that a message quotes."""
MAX_MESSAGE = 2_000
"""Characters of a message that is sent to a client."""

_repr = reprlib.Repr()
_repr.maxlevel = 3
_repr.maxstring = _repr.maxother = MAX_QUOTED
_repr.maxlist = _repr.maxdict = 5


def excerpt(value: Any) -> str:
    """Return the ``repr()`` of a value of JSON's types, shortened, without reading all of it."""
    if isinstance(value, str):
        return repr(shortened(value, MAX_QUOTED))
    try:
        return shortened(_repr.repr(value), MAX_QUOTED)
    except BaseException:  # of an object's own code
        return f"<{type(value).__name__} without a text>"


def shortened(text: str, limit: int = MAX_MESSAGE) -> str:
    """Return a text, or its beginning if it is longer than ``limit`` characters."""
    return text if len(text) <= limit else text[:limit] + "…"


def kind_of(value: Any) -> str:
    """Return the name of a value's type with its article, such as ``"an int"``."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in tuple('aeio') else 'a'} {name}"

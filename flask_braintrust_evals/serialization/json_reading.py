"""Reads JSON texts, with integers of any size.

The parser that is used for its speed reads integers beyond 64 bits as floats, and so as other
numbers, and refuses those that no float can hold. The standard library's reads them, but takes
several times as long, and nothing else runs meanwhile. So where a text may have such integers,
which is seldom, they are replaced by strings that no text can have by chance, and put in their
places when the text has been parsed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import orjson

MAX_DIGITS = 4300
"""Digits of an integer, as in the standard library. To read more takes quadratic time."""
_DIGITS = bytes(ord("0") if chr(code).isdecimal() else code for code in range(128)) + bytes(128)
_LONG = (b"0" * 20, b"-" + b"0" * 19)
"""What at least an integer has that is too large or too small, with each of its digits as ``0``."""
_FEWEST = 20
_SLICE = 64 * 1024
"""Bytes that are looked through at a stretch."""
_VALUES = 10_000
"""Values that are looked at at a stretch."""
_NUMBER = re.compile(rb"[-+.eE0-9][-+.eE0-9]{18,}([ \t\n\r]*:)?")
"""A number that may be a large integer, outside of strings. Before a colon, it is no JSON.

It begins with a single character, because the search for one is several times as fast.
"""
_INTEGER = re.compile(rb"-?[1-9][0-9]{18,%d}" % (MAX_DIGITS - 1))
_REST = re.compile(rb"[-+.eE0-9]*[ \t\n\r]*:?")
"""What may belong to a number, and says whether it is a key."""


def loads(text: bytes | str, pause: Callable[[], None] = lambda: None) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text.
        pause: called between two steps, each of which takes long if the text is large.

    Raises:
        orjson.JSONDecodeError: it is not JSON, an integer has more than :data:`MAX_DIGITS` digits,
            or a number with a fraction or an exponent is larger than a float can be.
    """
    if len(text) < _FEWEST:
        return orjson.loads(text)
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    may_have_some = _may_have_large_integers(data)
    pause()
    if not may_have_some:
        return orjson.loads(text)
    mark = secrets.token_hex(16)
    marked, count = _marked(data, mark, pause)
    if not count:
        return orjson.loads(data)
    try:
        value = orjson.loads(marked)
    except orjson.JSONDecodeError:
        orjson.loads(data)  # raises it with its place in this text
        raise
    del marked
    pause()
    return _restored(value, mark, count, pause)


def loads_if_json(value: Any) -> Any:
    """Return the value of a JSON text. What is none, a text or not, is returned unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return loads(value)
    except orjson.JSONDecodeError:
        return value


def _may_have_large_integers(data: bytes) -> bool:
    digits = data.translate(_DIGITS)
    return any(each in digits for each in _LONG)


def _marked(data: bytes, mark: str, pause: Callable[[], None]) -> tuple[bytes, int]:
    """Return a text with a string in place of each large integer, and how many there are.

    The text is valid if, and only if, the other one is: where an integer may be, a string may be as
    well, unless a colon follows.
    """
    beginning = b'"' + mark.encode()
    count = 0

    def replacement(found: re.Match[bytes]) -> bytes:
        nonlocal count
        number = found[0]
        if found.lastindex or not _INTEGER.fullmatch(number):
            return number
        count += 1
        return beginning + number + b'"'

    parts: list[bytes] = []
    copied = start = 0
    is_inside = 0  # of a string: 1
    while start < len(data):
        end = _end_of_slice(data, start)
        # Without escapes, each quotation mark begins or ends a string. Places stay the same.
        piece = data[start:end].replace(b"\\\\", b"..").replace(b'\\"', b"..")
        between = piece.split(b'"')
        outside = between[is_inside::2]
        if _may_have_large_integers(b'"'.join(outside)):
            at = start + (len(between[0]) + 1) * is_inside
            for index, each in enumerate(outside):
                if len(each) >= _FEWEST:
                    parts += (data[copied:at], _NUMBER.sub(replacement, each))
                    copied = at + len(each)
                inner = is_inside + 2 * index + 1
                at += len(each) + (len(between[inner]) + 2 if inner < len(between) else 0)
        is_inside ^= (len(between) - 1) % 2
        start = end
        pause()
    parts.append(data[copied:])
    return b"".join(parts), count


def _end_of_slice(data: bytes, start: int) -> int:
    """Return where a slice ends, which divides neither an escape nor a number."""
    end = start + _SLICE
    piece = data[start:end]
    if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
        return end + 1
    rest = _REST.match(data, end)
    return end if rest is None else rest.end()


def _restored(value: Any, mark: str, count: int, pause: Callable[[], None]) -> Any:
    """Return a value with the integers in their places."""
    whole = {"": value}
    containers: list[Any] = [whole]
    length = len(mark)
    looked_at = 0
    while containers and count:
        container = containers.pop()
        items = container.items() if type(container) is dict else enumerate(container)
        for key, item in items:
            kind = type(item)
            if kind is str:
                if item.startswith(mark):
                    container[key] = int(item[length:])
                    count -= 1
                    looked_at += len(item)  # many digits take long
                    if looked_at > _VALUES:
                        looked_at = 0
                        pause()
            elif kind is dict or kind is list:
                containers.append(item)
        looked_at += len(container)
        if looked_at > _VALUES:
            looked_at = 0
            pause()
    return whole[""]

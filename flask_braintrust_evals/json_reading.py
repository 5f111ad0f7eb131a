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
_LEAST = -(2**63)
_MOST = 2**64 - 1
_LARGEST_FLOAT = 10**308
"""The parser reads integers up to this one, as floats."""
_SLICE = 64 * 1024
"""Bytes that are looked through at a stretch."""
_VALUES = 10_000
"""Values that are looked at at a stretch."""
_RUN = re.compile(rb"-?[0-9]{19,}")
_REST = re.compile(rb"[0-9]*")
_KEY = re.compile(rb"[ \t\n\r]*:")
_BEFORE = frozenset(b"0123456789.eE+-")
_AFTER = frozenset(b".eE")
_CLOSING = frozenset(b",]}")
_MINUS, _ZERO = b"-0"


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
    if not _may_have_large_integers(data):
        return orjson.loads(text)
    return _Reading(data, pause).value()


def _may_have_large_integers(data: bytes) -> bool:
    digits = data.translate(_DIGITS)
    return any(each in digits for each in _LONG)


class _Reading:
    """The reading of one text that may have large integers.

    Args:
        data: the text.
        pause: called between two steps.
    """

    def __init__(self, data: bytes, pause: Callable[[], None]) -> None:
        self._data = data
        self._pause = pause
        self._mark = secrets.token_hex(16)
        self._integers: list[int] = []

    def value(self) -> Any:
        """Return the value of the text."""
        marked = self._marked()
        if not self._integers:
            return orjson.loads(self._data)
        try:
            value = orjson.loads(marked)
        except orjson.JSONDecodeError:
            if all(abs(each) < _LARGEST_FLOAT for each in self._integers):
                orjson.loads(self._data)  # raises it with its place in this text
            raise
        del marked
        self._pause()
        return self._restored(value)

    def _marked(self) -> bytes:
        """Return the text with a string in place of each large integer.

        Where a text is valid, so is the other: where an integer may be, a string may be as well,
        and what is followed by a colon is left as it is.
        """
        mark = b'"%b%%d"' % self._mark.encode()
        parts: list[bytes] = []
        copied = start = 0
        is_inside = 0  # of a string: 1
        while start < len(self._data):
            end = self._end_of_slice(start)
            piece = self._data[start:end]
            # Without escapes, each quotation mark begins or ends a string. Places stay the same.
            piece = piece.replace(b"\\\\", b"..").replace(b'\\"', b"..")
            between = piece.split(b'"')
            if _may_have_large_integers(b'"'.join(between[is_inside::2])):
                at = 0
                for found in _RUN.finditer(piece):
                    begin, until = found.span()
                    is_inside ^= piece.count(b'"', at, begin) % 2
                    at = begin
                    if is_inside:
                        continue
                    integer = self._large_integer(found[0], start + begin, start + until)
                    if integer is not None:
                        parts += (self._data[copied : start + begin], mark % len(self._integers))
                        self._integers.append(integer)
                        copied = start + until
                is_inside ^= piece.count(b'"', at) % 2
            else:
                is_inside ^= (len(between) - 1) % 2
            start = end
            self._pause()
        parts.append(self._data[copied:])
        return b"".join(parts)

    def _end_of_slice(self, start: int) -> int:
        """Return where a slice ends, which divides neither an escape nor a number."""
        end = start + _SLICE
        piece = self._data[start:end]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            return end + 1
        rest = _REST.match(self._data, end)
        return end if rest is None else rest.end()

    def _large_integer(self, digits: bytes, start: int, end: int) -> int | None:
        """Return the integer that some digits are; ``None``: the parser reads it as one.

        Or it is a part of another number, or the text is no JSON, which the parser says.

        Raises:
            orjson.JSONDecodeError: it has too many digits.
        """
        data = self._data
        if start and data[start - 1] in _BEFORE:
            return None
        is_negative = digits[0] == _MINUS
        if digits[is_negative] == _ZERO:
            return None
        if end < len(data) and data[end] not in _CLOSING:
            if data[end] in _AFTER or _KEY.match(data, end):
                return None
        if len(digits) > MAX_DIGITS + is_negative:
            raise orjson.JSONDecodeError(f"an integer has more than {MAX_DIGITS} digits", "", 0)
        integer = int(digits)
        return None if _LEAST <= integer <= _MOST else integer

    def _restored(self, value: Any) -> Any:
        """Return the value with the integers in their places."""
        whole = {"": value}
        containers: list[Any] = [whole]
        mark, length = self._mark, len(self._mark)
        left, looked_at = len(self._integers), 0
        while containers and left:
            container = containers.pop()
            items = container.items() if type(container) is dict else enumerate(container)
            for key, item in items:
                kind = type(item)
                if kind is str:
                    if item.startswith(mark):
                        container[key] = self._integers[int(item[length:])]
                        left -= 1
                        looked_at += 5
                        if looked_at > _VALUES:
                            looked_at = 0
                            self._pause()
                elif kind is dict or kind is list:
                    containers.append(item)
            looked_at += len(container)
            if looked_at > _VALUES:
                looked_at = 0
                self._pause()
        return whole[""]

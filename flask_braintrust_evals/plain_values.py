"""Turns any Python value into JSON's types: dicts, lists, strings, numbers, bools and ``None``.

:mod:`.serialization` says what becomes of which value.
"""

from __future__ import annotations

import base64
import datetime
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import SerializationError
from .excerpts import kind_of
from .object_contents import NO_CONTENT, ContentReader, is_mock

MAX_TEXT = 20_000
"""Characters of a text that :func:`safe_text` returns."""
MAX_DEPTH = 200
"""Levels of nesting that a value may have; orjson itself stops at 254."""

_converters: dict[type, Callable[[Any], Any]] = {}
_late_converters: dict[str, Callable[[], None]] = {}


def register_converter(kind: type, converter: Callable[[Any], Any]) -> None:
    """Write values of a class, and of classes derived from it, as what ``converter`` returns.

    For classes of other libraries whose ``str()`` is of no use, or has side effects.
    """
    _converters[kind] = converter


def before_values_of(library: str, register: Callable[[], None]) -> None:
    """Call ``register`` before an object of a class of ``library`` is written.

    It may call :func:`register_converter`, and may be called again. So the library is not imported
    before it is used.
    """
    _late_converters[library] = register


def safe_text(value: Any) -> str:
    """Return ``str(value)``, or a placeholder if it fails, as text that can be encoded.

    A text of more than ``MAX_TEXT`` characters is cut.
    """
    try:
        text = str(value)
    except BaseException:  # its own code may raise anything, and an exception even itself
        return f"<{type(value).__name__} without a text>"
    # An exact str, since str() may also return an object with methods of its own.
    cut = str.__getitem__(text, slice(MAX_TEXT))
    return clean_text(cut if str.__len__(text) <= MAX_TEXT else f"{cut}…")


def clean_text(text: str) -> str:
    """Return ``text`` without lone surrogates, so that it can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # UTF-16 turns a pair of surrogates into the character that they encode.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class Converter:
    """Turns one value into JSON's types.

    Args:
        tolerant: whether a part that cannot be converted is replaced by the reason.
    """

    def __init__(self, tolerant: bool = False) -> None:
        self._tolerant = tolerant
        self._reader = ContentReader()

    def plain(self, value: Any, parents: tuple[int, ...]) -> Any:
        """Return ``value``, which is inside of values with the ids ``parents``, in JSON's types."""
        # One function for all: a nested value must not need more of Python's stack than it has to.
        try:
            if value is None or isinstance(value, bool):
                return value
            if is_mock(value):
                return _as_text(value)
            if isinstance(value, enum.Enum):
                return self.plain(value.value, parents)
            if isinstance(value, str):
                return clean_text(value)
            if isinstance(value, int):
                if value.bit_length() > 64:
                    str(value)  # raises ValueError if it has more digits than Python writes
                return int(value)
            if isinstance(value, float):
                return _finite(value)
            if id(value) in parents:
                raise SerializationError(f"{kind_of(value)} contains itself")
            if len(parents) >= MAX_DEPTH:
                raise SerializationError(f"the value is nested deeper than {MAX_DEPTH} levels")
            inside = (*parents, id(value))
            if isinstance(value, dict):
                return {self._key(key): self.plain(item, inside) for key, item in value.items()}
            if isinstance(value, list | tuple):
                return [self.plain(item, inside) for item in value]
            return self.plain(self.simplify(value), inside)
        except Exception as error:
            if not self._tolerant or not parents:
                raise
            is_known = isinstance(error, SerializationError)
            return reason(str(error) if is_known else failure(value, error))

    def simplify(self, value: Any) -> Any:
        """Return a value whose type is closer to JSON's types. The caller converts it further."""
        for kind in type(value).__mro__:
            library = str(kind.__module__).partition(".")[0]
            if library in _late_converters:
                _late_converters[library]()
            if kind in _converters:
                return _converters[kind](value)
        if is_mock(value):
            return _as_text(value)
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, float):
            return _finite(value)
        if isinstance(value, datetime.datetime | datetime.date | datetime.time):
            return value.isoformat()
        if isinstance(value, bytes | bytearray | memoryview):
            return _from_bytes(bytes(value))
        if isinstance(value, set | frozenset):
            return _sorted(value)
        if isinstance(value, Mapping):
            return {self._key(key): item for key, item in self._reader.mapping(value)}
        if isinstance(value, BaseException):
            return f"{type(value).__name__}: {safe_text(value)}"
        content = NO_CONTENT if isinstance(value, type) else self._reader.content(value)
        return _as_text(value) if content is NO_CONTENT else content

    def _key(self, key: Any) -> str:
        try:
            return _key(key)
        except Exception:
            if not self._tolerant:
                raise
            return safe_text(key)


def _finite(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)


def _key(key: Any) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, datetime.date | datetime.time):
        return key.isoformat()
    return clean_text(str(key))


def reason(why: str) -> str:
    return f"<not serializable: {why}>"


def failure(value: Any, error: Exception) -> str:
    return f"{kind_of(value)} cannot be written as JSON: {type(error).__name__}: {safe_text(error)}"


def _from_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "data:application/octet-stream;base64," + base64.b64encode(value).decode()


def _sorted(values: Iterable[Any]) -> list[Any]:
    items = list(values)
    try:
        return sorted(items)
    except Exception:
        return sorted(items, key=repr)  # any order that is always the same


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        raise SerializationError(
            f"{kind_of(value)} cannot be written as JSON, and its str() fails with"
            f" {type(error).__name__}: {safe_text(error)}"
        ) from error

"""Turns any Python value into JSON's types: dicts, lists, strings, numbers, bools and ``None``.

:mod:`.json_writing` says what becomes of which value.
"""

from __future__ import annotations

import base64
import datetime
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.texts.excerpts import kind_of
from flask_braintrust_evals.texts.safe_texts import clean_text, safe_text

from .object_contents import NO_CONTENT, ContentReader, is_mock

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

"""Any Python value as JSON text that every parser accepts.

What JSON has no form for becomes what the ``braintrust`` SDK makes of it: ``NaN`` and the
infinities are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; decimals, paths and
objects of unknown classes are their ``str()``. Sets become lists, dataclasses and pydantic models
objects, bytes the text they encode or else a ``data:`` URL. Lone surrogates, which are legal in
Python's strings but not in UTF-8, become U+FFFD.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import inspect
import json
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from .errors import SerializationError

MAX_DEPTH = 200
"""Levels of nesting that a value may have; orjson itself stops at 254."""

# orjson's own forms of dates and dataclasses differ in small ways from those that this module gives
# them elsewhere; a value must look the same whatever stands beside it.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME
_OPTIONS |= orjson.OPT_PASSTHROUGH_DATACLASS
_CONTAINERS = (dict, list, tuple)

_converters: dict[type, Callable[[Any], Any]] = {}


def convert(kind: type, converter: Callable[[Any], Any]) -> None:
    """Have values of a class, and of those derived from it, written as what ``converter`` returns.

    For classes of other libraries whose ``str()`` says nothing, or does something.
    """
    _converters[kind] = converter


def dumps(value: Any) -> str:
    """Return ``value`` as JSON text.

    Raises:
        SerializationError: the value is circular, nested too deep, something that has no value yet
            (an iterator, a coroutine), or its own code fails.
    """
    if value is None:
        return "null"
    try:
        data = orjson.dumps(value, default=_simplify, option=_OPTIONS)
    except (TypeError, RecursionError):
        # Integers above 64 bits, lone surrogates, keys that are no strings, circular values.
        pass
    else:
        # orjson writes NaN and the infinities as null.
        nulls = data.count(b"null")
        if not nulls or _has_nones(value, nulls) or not _has_nan(value):
            return data.decode()
    try:
        return json.dumps(
            _plain(value, ()), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
    except SerializationError:
        raise
    except Exception as error:  # the value's own code: properties, iterators, str()
        raise SerializationError(
            f"a {type(value).__name__} cannot be written as JSON: {type(error).__name__}:"
            f" {safe_text(error)}"
        ) from error


def dumps_or_reason(value: Any) -> str:
    """Return ``value`` as JSON text, or, as a JSON string, why it has no JSON form."""
    try:
        return dumps(value)
    except SerializationError as error:
        return dumps(f"<not serializable: {error}>")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON has it: dicts, lists, strings, numbers, bools and ``None``.

    Raises:
        SerializationError: as :func:`dumps`.
    """
    return orjson.loads(dumps(value))


def safe_text(value: Any) -> str:
    """Return ``str(value)`` as text that can be encoded, whatever the value's own code does."""
    try:
        return clean_text(str(value))
    except Exception:
        return f"<{type(value).__name__} without a text>"


def clean_text(text: str) -> str:
    """Return ``text`` without lone surrogates, so that it can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # By way of UTF-16, two surrogates that make a pair become the character they stand for.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _has_nones(value: Any, count: int) -> bool:
    """Return whether ``count`` times ``None`` is found in a value of dicts and lists.

    Where that is as often as its JSON says ``null``, no ``null`` stands for NaN.
    """
    containers = [value] if type(value) in _CONTAINERS else []
    for container in containers:  # which grows meanwhile
        for item in container.values() if type(container) is dict else container:
            if item is None:
                count -= 1
            elif type(item) in _CONTAINERS:
                containers.append(item)
    return count <= 0


def _has_nan(value: Any) -> bool:
    """Return whether a value holds NaN or an infinity, or cannot be looked at in this way."""
    try:
        _nan_refusing.encode(value)
    except Exception:
        return True
    return False


def _plain(value: Any, parents: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, parents)
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(value)
    if id(value) in parents:
        raise SerializationError(f"a {type(value).__name__} contains itself")
    if len(parents) >= MAX_DEPTH:
        raise SerializationError(f"the value is nested deeper than {MAX_DEPTH} levels")
    inside = (*parents, id(value))
    if isinstance(value, dict):
        return {_key(key): _plain(item, inside) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, inside) for item in value]
    return _plain(_simplify(value), inside)


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


def _simplify(value: Any) -> Any:
    """Return a value that is one step nearer to JSON. The caller goes on with what it gets."""
    for kind in type(value).__mro__:
        if kind in _converters:
            return _converters[kind](value)
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
        return {_key(key): item for key, item in value.items()}
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {safe_text(value)}"
    if not isinstance(value, type):
        fields = _fields(value)
        if fields is not None:
            return fields
        if isinstance(value, Iterator) or inspect.isawaitable(value) or inspect.isasyncgen(value):
            raise SerializationError(
                f"a {type(value).__name__} has no value yet: return what it gives, such as a list"
            )
        if isinstance(value, Iterable) and not isinstance(value, uuid.UUID):
            return list(value)
    return _as_text(value)


# In C, and so much quicker than _plain(); its text is thrown away. orjson has found no cycle.
_nan_refusing = json.JSONEncoder(default=_simplify, allow_nan=False, check_circular=False)


def _fields(value: Any) -> dict[str, Any] | Any | None:
    """The fields of an object that says what they are; ``None`` for any other."""
    if hasattr(value, "model_dump"):  # pydantic
        return value.model_dump()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(type(value), "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in type(value).__attrs_attrs__}
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # numpy and its kin
        return value.tolist()
    return None


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
        return sorted(items, key=repr)  # any order will do, so long as it is always the same


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        name = type(value).__name__
        raise SerializationError(
            f"a {name} cannot be written as JSON, and its str() fails with"
            f" {type(error).__name__}: {error}"
        ) from error

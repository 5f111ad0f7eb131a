"""Writes any Python value as JSON text that every parser accepts.

Values that JSON has no form for are written as the ``braintrust`` SDK writes them: ``NaN`` and the
infinities become the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; decimals, paths and
objects of unknown classes become their ``str()``. Sets become lists, dataclasses and pydantic
models become objects, and bytes become the text that they encode, or else a ``data:`` URL. Lone
surrogates, which are legal in Python's strings but not in UTF-8, become U+FFFD.
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

# orjson's own forms of dates and dataclasses differ in small ways from those of _plain(). A value
# must look the same, whichever of the two has written it.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME
_OPTIONS |= orjson.OPT_PASSTHROUGH_DATACLASS
_CONTAINERS = (dict, list, tuple)

_converters: dict[type, Callable[[Any], Any]] = {}


def register_converter(kind: type, converter: Callable[[Any], Any]) -> None:
    """Write values of a class, and of classes derived from it, as what ``converter`` returns.

    For classes of other libraries whose ``str()`` is of no use, or has side effects.
    """
    _converters[kind] = converter


def dumps(value: Any) -> str:
    """Return ``value`` as JSON text.

    Raises:
        SerializationError: the value is circular or nested too deep, it is an iterator or a
            coroutine, or its own code fails.
    """
    if value is None:
        return "null"
    try:
        data = orjson.dumps(value, default=_simplify, option=_OPTIONS)
    except (TypeError, RecursionError):
        # orjson refuses integers above 64 bits, lone surrogates, keys that are not strings, and
        # circular values.
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
    """Return ``value`` as JSON text, or a JSON string that says why it has no JSON form."""
    try:
        return dumps(value)
    except SerializationError as error:
        return dumps(f"<not serializable: {error}>")


def plain(value: Any) -> Any:
    """Return ``value`` in JSON's types: dicts, lists, strings, numbers, bools and ``None``.

    Raises:
        SerializationError: see :func:`dumps`.
    """
    return orjson.loads(dumps(value))


def safe_text(value: Any) -> str:
    """Return ``str(value)``, or a placeholder if it fails, as text that can be encoded."""
    try:
        return clean_text(str(value))
    except Exception:
        return f"<{type(value).__name__} without a text>"


def clean_text(text: str) -> str:
    """Return ``text`` without lone surrogates, so that it can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # UTF-16 turns a pair of surrogates into the character that they encode.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _has_nones(value: Any, count: int) -> bool:
    """Return whether a value of dicts and lists has at least ``count`` items that are ``None``.

    If ``count`` is the number of nulls in the value's JSON, none of these was written for a NaN.
    """
    containers = [value] if type(value) in _CONTAINERS else []
    for container in containers:  # the loop appends to it
        for item in container.values() if type(container) is dict else container:
            if item is None:
                count -= 1
            elif type(item) in _CONTAINERS:
                containers.append(item)
    return count <= 0


def _has_nan(value: Any) -> bool:
    """Return whether a value has a NaN or an infinity, or cannot be checked."""
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
    """Return a value whose type is closer to JSON's types. The caller converts it further."""
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


# Written in C, and so much faster than _plain(); only its errors are used. It need not look for
# circular values: orjson has refused them before.
_nan_refusing = json.JSONEncoder(default=_simplify, allow_nan=False, check_circular=False)


def _fields(value: Any) -> dict[str, Any] | Any | None:
    """Return the fields of an object as a dict, or an array as a list; ``None`` for all others."""
    if hasattr(value, "model_dump"):  # a pydantic model
        return value.model_dump()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(type(value), "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in type(value).__attrs_attrs__}
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # an array
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
        return sorted(items, key=repr)  # any order that is always the same


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        name = type(value).__name__
        raise SerializationError(
            f"a {name} cannot be written as JSON, and its str() fails with"
            f" {type(error).__name__}: {error}"
        ) from error

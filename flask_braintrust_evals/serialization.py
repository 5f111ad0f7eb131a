"""Writes any Python value as JSON text that every parser accepts.

Values that JSON has no form for are written as the ``braintrust`` SDK writes them: ``NaN`` and the
infinities become the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; decimals, paths and
objects of unknown classes become their ``str()``, and so do data frames and other objects whose
items are not all of their content. Sets become lists, dataclasses and pydantic models become
objects, and bytes become the text that they encode, or else a ``data:`` URL. Lone surrogates, which
are legal in Python's strings but not in UTF-8, become U+FFFD.
"""

from __future__ import annotations

import base64
import datetime
import enum
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from .errors import SerializationError
from .json_reading import loads
from .large_integers import with_fragments
from .object_contents import NO_CONTENT, ContentReader, is_mock

MAX_TEXT = 20_000
"""Characters of a text that :func:`safe_text` returns."""
MAX_DEPTH = 200
"""Levels of nesting that a value may have; orjson itself stops at 254."""

# orjson's own forms of dates and dataclasses differ in small ways from those of plain(). A value
# must look the same, whichever of the two has written it.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME
_OPTIONS |= orjson.OPT_PASSTHROUGH_DATACLASS
_CONTAINERS = (dict, list, tuple)

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


def dumps(value: Any) -> str:
    """Return ``value`` as JSON text.

    Raises:
        SerializationError: the value is circular or nested too deep, it is an iterator or a
            coroutine, or its own code fails.
    """
    return encoded(value).decode()


def dumps_parts(value: Any) -> str:
    """Return ``value`` as JSON text; in place of a part that has no JSON form is the reason.

    Such a part is written as a string, ``"<not serializable: ...>"``. The ``braintrust`` SDK does
    the same with what it records.

    Raises:
        SerializationError: the value itself has no JSON form.
    """
    return encoded(value, tolerant=True).decode()


def dumps_or_reason(value: Any) -> str:
    """Return ``value`` as JSON text. What has no JSON form, a part or all, becomes the reason."""
    return encoded_or_reason(value).decode()


def encoded_or_reason(value: Any) -> bytes:
    """Return the same as :func:`dumps_or_reason` in UTF-8, see :func:`encoded`."""
    try:
        return encoded(value, tolerant=True)
    except SerializationError as error:
        return encoded(_reason(str(error)))


def encoded(value: Any, *, tolerant: bool = False) -> bytes:
    """Return ``value`` as JSON in UTF-8, in one line: no character below U+0020 is in it.

    For what may be large: a text takes up to four times as much memory as its bytes.

    Args:
        value: the value.
        tolerant: whether a part that has no JSON form is replaced, see :func:`dumps_parts`.

    Raises:
        SerializationError: see :func:`dumps`.
    """
    if value is None:
        return b"null"
    data = _written(value)
    if data is not None:
        return data
    try:
        plain_value = _Converter(tolerant).plain(value, ())
        text = json.dumps(plain_value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except SerializationError:
        raise
    except Exception as error:  # the value's own code: properties, iterators, str()
        raise SerializationError(_failure(value, error)) from error


def _written(value: Any) -> bytes | None:
    """Return ``value`` as orjson writes it; ``None``: it does not, or not as it should be."""
    try:
        try:
            data = orjson.dumps(value, default=_Converter().simplify, option=_OPTIONS)
        except TypeError as error:
            if "64-bit" not in str(error):
                raise
            value = with_fragments(value)
            data = orjson.dumps(value, default=_Converter().simplify, option=_OPTIONS)
    except (TypeError, RecursionError, ValueError):
        # orjson refuses lone surrogates, keys that are not strings, and circular values.
        return None
    if type(value) is str:
        return data  # not searched: it may be large
    # orjson writes NaN and the infinities as null.
    nulls = data.count(b"null")
    return data if not nulls or _has_nones(value, nulls) or not _has_nan(value) else None


def plain(value: Any) -> Any:
    """Return ``value`` in JSON's types: dicts, lists, strings, numbers, bools and ``None``.

    Raises:
        SerializationError: see :func:`dumps`.
    """
    return loads(encoded(value))


def plain_parts(value: Any) -> Any:
    """Return the same as :func:`plain`; in place of a part that has no JSON form is the reason.

    Raises:
        SerializationError: the value itself has no JSON form.
    """
    return loads(encoded(value, tolerant=True))


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


class _Converter:
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
                raise SerializationError(f"a {type(value).__name__} contains itself")
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
            return _reason(str(error) if is_known else _failure(value, error))

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


def _reason(why: str) -> str:
    return f"<not serializable: {why}>"


def _failure(value: Any, error: Exception) -> str:
    return (
        f"a {type(value).__name__} cannot be written as JSON: {type(error).__name__}:"
        f" {safe_text(error)}"
    )


# It is written in C and so much faster than plain(); only its errors are used. orjson has found no
# circular value before.
_nan_refusing = json.JSONEncoder(
    default=lambda value: _Converter().simplify(value), allow_nan=False, check_circular=False
)


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
            f" {type(error).__name__}: {safe_text(error)}"
        ) from error

"""Writes any Python value as JSON text that every parser accepts.

Values that JSON has no form for are written as the ``braintrust`` SDK writes them: ``NaN`` and the
infinities become the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; decimals, paths and
objects of unknown classes become their ``str()``, and so do data frames and other objects whose
items are not all of their content. Sets become lists, dataclasses and pydantic models become
objects, and bytes become the text that they encode, or else a ``data:`` URL. Lone surrogates, which
are legal in Python's strings but not in UTF-8, become U+FFFD.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import orjson

from flask_braintrust_evals.errors import SerializationError

from .json_reading import loads
from .large_integers import with_fragments
from .plain_values import Converter, failure, reason

# orjson's own forms of dates and dataclasses differ in small ways from those of plain(). A value
# must look the same, whichever of the two has written it.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_OPTIONS_FOR_NUMPY = _OPTIONS | orjson.OPT_SERIALIZE_NUMPY
_CONTAINERS = (dict, list, tuple)
_WITHOUT_NAN = frozenset((str, int, bool))


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


def encoded_or_reason(value: Any, pause: Callable[[], None] = lambda: None) -> bytes:
    """Return the same as :func:`dumps_or_reason` in UTF-8, see :func:`encoded`."""
    try:
        return encoded(value, tolerant=True, pause=pause)
    except SerializationError as error:
        return encoded(reason(str(error)))


def encoded(
    value: Any, *, tolerant: bool = False, pause: Callable[[], None] = lambda: None
) -> bytes:
    """Return ``value`` as JSON in UTF-8, in one line: no character below U+0020 is in it.

    For what may be large: a text takes up to four times as much memory as its bytes.

    Args:
        value: the value.
        tolerant: whether a part that has no JSON form is replaced, see :func:`dumps_parts`.
        pause: called between two steps, where there are many integers beyond 64 bits.

    Raises:
        SerializationError: see :func:`dumps`.
    """
    if value is None:
        return b"null"
    # With numpy's option, orjson imports numpy for the first object that it does not know, which
    # takes a quarter of a second of the first case.
    option = _OPTIONS_FOR_NUMPY if "numpy" in sys.modules else _OPTIONS
    try:
        data = orjson.dumps(value, option=option)
    except Exception as error:
        written = _written(value, error, option, pause)
    else:
        # Nothing else is called for most values. Texts and integers have no NaN, and a large text
        # would be searched for one.
        if type(value) in _WITHOUT_NAN or b"null" not in data:
            return data
        written = _unless_nan(value, data)
    if written is not None:
        return written
    try:
        plain_value = Converter(tolerant).plain(value, ())
        text = json.dumps(plain_value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except SerializationError:
        raise
    except Exception as error:  # the value's own code: properties, iterators, str()
        raise SerializationError(failure(value, error)) from error


def _written(value: Any, error: Exception, option: int, pause: Callable[[], None]) -> bytes | None:
    """Return ``value`` as orjson writes it with our forms of its objects and integers.

    Args:
        value: the value.
        error: why orjson does not write it without them.
        option: orjson's.
        pause: see :func:`encoded`.

    Returns:
        ``None``: it does not write it, or not as it should be.
    """
    try:
        if not _is_for_size(error):
            try:
                data = orjson.dumps(value, default=Converter().simplify, option=option)
                return _unless_nan(value, data)
            except TypeError as refusal:
                if not _is_for_size(refusal):
                    raise
        value = with_fragments(value, pause)
        data = orjson.dumps(value, default=Converter().simplify, option=option)
    except (TypeError, RecursionError, ValueError):
        # orjson refuses lone surrogates, keys that are not strings, and circular values.
        return None
    return _unless_nan(value, data)


def _is_for_size(error: Exception) -> bool:
    """Return whether orjson refuses a value because an integer is too large."""
    return "64-bit" in str(error)


def _unless_nan(value: Any, data: bytes) -> bytes | None:
    """Return ``value`` as orjson has written it; ``None``: it has a NaN, which must not be null."""
    # orjson writes NaN and the infinities as null.
    nulls = data.count(b"null")
    return data if not nulls or _has_nones(value, nulls) or not _has_nan(value) else None


def plain(value: Any, pause: Callable[[], None] = lambda: None) -> Any:
    """Return ``value`` in JSON's types: dicts, lists, strings, numbers, bools and ``None``.

    Args:
        value: the value.
        pause: see :func:`encoded`.

    Raises:
        SerializationError: see :func:`dumps`.
    """
    return loads(encoded(value, pause=pause), pause)


def plain_parts(value: Any) -> Any:
    """Return the same as :func:`plain`; in place of a part that has no JSON form is the reason.

    Raises:
        SerializationError: the value itself has no JSON form.
    """
    return loads(encoded(value, tolerant=True))


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


def _simplified(value: Any) -> Any:
    # A fragment is the text of a large integer, of which there may be very many.
    return None if type(value) is orjson.Fragment else Converter().simplify(value)


# It is written in C and so much faster than plain(); only its errors are used. orjson has found no
# circular value before.
_nan_refusing = json.JSONEncoder(default=_simplified, allow_nan=False, check_circular=False)

"""Describes the code of callables: equally in every process that has the same code."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

MAX_DEPTH = 5
"""Functions inside of functions that are followed."""
_SCALARS = (str, int, float, bool, bytes, type(None))


class Description(NamedTuple):
    """A description of a callable, as JSON.

    Attributes:
        code: differs where the code of two callables does.
        values: differs where the values do that belong to them and cannot change: defaults, the
            arguments of a ``partial``, and the texts of a closure. They may come from the settings
            of a host.
    """

    code: Any
    values: list[str]


def described(function: Any) -> Description:
    """Return what a callable does.

    Functions that belong to it count with their code. Objects do not count: what they are made of
    is not known, and their ``repr()`` may have an address.
    """
    values: list[str] = []
    return Description(_of(function, values, 0), values)


def _of(function: Any, values: list[str], depth: int) -> Any:
    """Return the code of a callable, and add the values that belong to it."""
    if depth > MAX_DEPTH:
        return None

    def of(value: Any) -> Any:
        return _of_value(value, values, depth)

    if isinstance(function, functools.partial):
        return [
            "partial",
            _of(function.func, values, depth + 1),
            [of(each) for each in function.args],
            {name: of(each) for name, each in sorted(function.keywords.items())},
        ]
    wrapped = _unwrapped(function)
    if isinstance(wrapped, functools.partial):
        return _of(wrapped, values, depth + 1)
    plain = getattr(wrapped, "__func__", wrapped)
    name = getattr(plain, "__qualname__", type(plain).__qualname__)
    code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType) and not isinstance(plain, type):
        calls = (vars(kind).get("__call__") for kind in type(plain).__mro__)
        plain = _unwrapped(next(filter(None, calls), None))
        code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType):
        return [name]
    keywords = getattr(plain, "__kwdefaults__", None) or {}
    return [
        name,
        _of_code(code),
        [of(each) for each in getattr(plain, "__defaults__", None) or ()],
        {key: of(each) for key, each in sorted(keywords.items())},
        [_of_cell(each, of) for each in getattr(plain, "__closure__", None) or ()],
    ]


def _unwrapped(function: Any) -> Any:
    try:
        return inspect.unwrap(function)
    except ValueError:  # it wraps itself
        return function


def _of_value(value: Any, values: list[str], depth: int) -> Any:
    if type(value) in _SCALARS:
        values.append(repr(value))
        return "a value"
    return _of(value, values, depth + 1) if callable(value) else type(value).__qualname__


def _of_cell(cell: Any, of: Callable[[Any], Any]) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:  # nothing was assigned yet
        return None
    # A number may be one that the function counts with.
    is_fixed = isinstance(content, str) or callable(content)
    return of(content) if is_fixed else type(content).__qualname__


def _of_code(code: CodeType) -> Any:
    # Not the places: the same code may have been installed into another folder.
    return [
        hashlib.sha256(code.co_code).hexdigest(),
        [_constant(each) for each in code.co_consts],
        [*code.co_names, *code.co_varnames],
    ]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _of_code(value)
    if isinstance(value, frozenset):  # its order differs from process to process
        return sorted((_constant(each) for each in value), key=repr)
    if isinstance(value, tuple):
        return [_constant(each) for each in value]
    return repr(value)

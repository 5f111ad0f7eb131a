"""What callables do, as far as their code tells: the same in every process with the same code."""

from __future__ import annotations

import functools
import hashlib
import inspect
from types import CodeType
from typing import Any

MAX_DEPTH = 5
"""Functions inside of functions that are followed."""
_SCALARS = (str, int, float, bool, bytes, type(None))


def described(function: Any, depth: int = 0) -> Any:
    """Return a value of JSON that differs where the code of two callables does.

    The values that belong to them count as far as they cannot change: defaults, the arguments of a
    ``partial``, and the functions and texts of a closure. Objects do not: what they are made of is
    not known, and their ``repr()`` may have an address.
    """
    if depth > MAX_DEPTH:
        return None
    if isinstance(function, functools.partial):
        return [
            "partial",
            described(function.func, depth + 1),
            [_value(each, depth) for each in function.args],
            {name: _value(each, depth) for name, each in sorted(function.keywords.items())},
        ]
    plain = getattr(_unwrapped(function), "__func__", _unwrapped(function))
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
        [_value(each, depth) for each in getattr(plain, "__defaults__", None) or ()],
        {key: _value(each, depth) for key, each in sorted(keywords.items())},
        [_of_cell(each, depth) for each in getattr(plain, "__closure__", None) or ()],
    ]


def _unwrapped(function: Any) -> Any:
    try:
        return inspect.unwrap(function)
    except ValueError:  # it wraps itself
        return function


def _value(value: Any, depth: int) -> Any:
    if type(value) in _SCALARS:
        return repr(value)
    return described(value, depth + 1) if callable(value) else type(value).__qualname__


def _of_cell(cell: Any, depth: int) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:  # nothing was assigned yet
        return None
    # A number may be one that the function counts with.
    is_fixed = isinstance(content, str) or callable(content)
    return _value(content, depth) if is_fixed else type(content).__qualname__


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

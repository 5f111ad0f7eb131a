"""Checks that a case can travel: that JSON holds exactly what the task would get here."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.texts.excerpts import excerpt

MAX_DEPTH = 150
"""Levels of nesting that a value may have: an order with it has some more, of 200."""
_OTHER_SCALARS = (int, bool, type(None))


@dataclasses.dataclass(frozen=True)
class ForeignValue:
    """A part of a case that JSON has no exact form for.

    Attributes:
        path: where it is, such as ``input['image']``.
        value: the part.
    """

    path: str
    value: Any


class CaseValueError(DataError):
    """A case has a value that cannot be sent to a worker."""


def foreign_value(case: EvalCase) -> ForeignValue | None:
    """Return the first part of a case that JSON cannot hold; ``None``: there is none.

    A worker would get another value than the task gets here: a list for a tuple, a text for a date.
    """
    for name, value in _values(case).items():
        if not _is_exact(value):
            return _find(value, name)
    return None


def case_fields(case: EvalCase, foreign: ForeignValue | None) -> dict[str, Any]:
    """Return the fields of a case that are not ``None``, as JSON.

    Args:
        case: the case.
        foreign: what :func:`foreign_value` returns for it.

    Raises:
        CaseValueError: one of them cannot be sent.
    """
    if foreign is not None:
        raise CaseValueError(
            f"{foreign.path} is {excerpt(foreign.value)} ({_kind(foreign.value)}), which JSON"
            " cannot hold, so that the case cannot be sent to a worker: use JSON's own types in"
            " cases, or declare the evaluator with distributed=False"
        )
    fields = _values(case)
    fields["upsert_id"] = case.upsert_id
    # Any value whose str() names the case is allowed as its id.
    keeps_id = case.id is None or (type(case.id) in (str, int, float) and _is_exact(case.id))
    fields["id"] = case.id if keeps_id else str(case.id)
    return {name: value for name, value in fields.items() if value is not None}


def _values(case: EvalCase) -> dict[str, Any]:
    """Return the fields that may have any value, as the task gets them."""
    return {
        "input": case.input,
        "expected": case.expected,
        "metadata": None if case.metadata is None else dict(case.metadata),
        "tags": None if case.tags is None else list(case.tags),
        "origin": None if case.origin is None else dict(case.origin),
    }


def _is_exact(value: Any) -> bool:
    """Return whether a value is read from JSON as it is."""
    levels: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for container in levels:
            for each in container.values() if type(container) is dict else container:
                kind = type(each)
                if kind is str:
                    if not (each.isascii() or _is_unicode(each)):
                        return False
                elif kind is dict:
                    if not all(map(_is_key, each)):
                        return False
                    inner.append(each)
                elif kind is list:
                    inner.append(each)
                elif kind is float:
                    if not math.isfinite(each):
                        return False
                elif kind not in _OTHER_SCALARS:
                    return False
        if not inner:
            return True
        levels = inner
    return False


def _find(value: Any, path: str) -> ForeignValue:
    """Return the first part of a value that is not exact."""
    stack = [(path, value, 0)]
    while stack:
        where, each, depth = stack.pop()
        if type(each) not in (dict, list):
            if not _is_exact(each):
                return ForeignValue(where, each)
        elif depth == MAX_DEPTH:
            break
        elif type(each) is list:
            inner = [(f"{where}[{index}]", item, depth + 1) for index, item in enumerate(each)]
            stack.extend(reversed(inner))
        else:
            for key in each:
                if not _is_key(key):
                    return ForeignValue(f"a key of {where}", key)
            inner = [(f"{where}[{key!r}]", item, depth + 1) for key, item in each.items()]
            stack.extend(reversed(inner))
    return ForeignValue(f"a part of {path}", value)


def _is_key(key: Any) -> bool:
    return type(key) is str and (key.isascii() or _is_unicode(key))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    if isinstance(value, float):
        return "a float"
    if type(value) in (list, dict):
        return f"nested deeper than {MAX_DEPTH} levels"
    return "with a lone surrogate" if type(value) is str else f"of the class {type(value).__name__}"

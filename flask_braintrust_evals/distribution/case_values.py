"""Checks that a case can travel: that JSON holds exactly what the task would get here."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.excerpts import excerpt

_SCALARS = (str, int, bool, type(None))
_FIELDS = ("input", "expected", "metadata", "tags", "origin")


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
    for name in _FIELDS:
        value = getattr(case, name)
        if type(value) not in _SCALARS:
            found = _find(value, name)
            if found is not None:
                return found
    return None


def case_fields(case: EvalCase) -> dict[str, Any]:
    """Return the fields of a case that are not ``None``, as JSON.

    Raises:
        CaseValueError: one of them cannot be sent.
    """
    found = foreign_value(case)
    if found is not None:
        raise CaseValueError(
            f"{found.path} is {excerpt(found.value)} ({_kind(found.value)}), which JSON cannot"
            " hold, so that the case cannot be sent to a worker: use JSON's own types in cases, or"
            " declare the evaluator with distributed=False"
        )
    fields = {name: getattr(case, name) for name in _FIELDS}
    fields["upsert_id"] = case.upsert_id
    # Any value whose str() names the case is allowed as its id.
    fields["id"] = case.id if type(case.id) in (str, int, float) else case.id and str(case.id)
    return {name: value for name, value in fields.items() if value is not None}


def _find(value: Any, path: str) -> ForeignValue | None:
    stack = [(path, value)]
    while stack:
        where, each = stack.pop()
        kind = type(each)
        if kind in _SCALARS:
            continue
        if kind is float:
            if not math.isfinite(each):
                return ForeignValue(where, each)
        elif kind is list:
            stack.extend((f"{where}[{index}]", item) for index, item in enumerate(each))
        elif kind is dict:
            for key, item in each.items():
                if type(key) is not str:
                    return ForeignValue(f"a key of {where}", key)
                stack.append((f"{where}[{key!r}]", item))
        else:
            return ForeignValue(where, each)
    return None


def _kind(value: Any) -> str:
    return f"of the class {type(value).__name__}" if not isinstance(value, float) else "a float"

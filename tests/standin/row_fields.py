"""The fields of a row that `/logs3` takes, and the form that each must have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from .answers import Refusal
from .state import Row

_ORIGIN = {"object_type", "object_id", "id"}
_LABEL = {"id", "label", "metadata", "source"}


def check_row(row: Row) -> None:
    """Raise `Refusal` for a row that the cloud would not take; it then takes none of a request."""
    for name, value in row.items():
        check = _CHECKS.get(name)
        if check is None:
            raise Refusal(400, f"Unrecognized key in row: {name!r}")
        if value is not None and not check(value):
            raise Refusal(400, f"Invalid {name!r} in row: {value!r:.200}")
    if not row.get("id"):
        raise Refusal(400, "Each row needs an id")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _any(value: Any) -> bool:
    return True


def _bool(value: Any) -> bool:
    return isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _tags(value: Any) -> bool:
    return _texts(value) and len(set(value)) == len(value)


def _time(value: Any) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def _number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_number, value.values()))


def _scores(value: Any) -> bool:
    return _numbers(value) and all(0 <= (each or 0) <= 1 for each in value.values())


def _origin(value: Any) -> bool:
    return isinstance(value, dict) and all(_text(value.get(name)) for name in _ORIGIN)


def _context(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("caller_lineno"), int | None)


def _labels(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(items, list) and all(map(_label, items)) for items in value.values()
    )


def _label(item: Any) -> bool:
    return isinstance(item, dict) and bool(item.get("id")) and not item.keys() - _LABEL


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "id": _text,
    "span_id": _text,
    "root_span_id": _text,
    "span_parents": _texts,
    "created": _time,
    "input": _any,
    "output": _any,
    "expected": _any,
    "error": _any,
    "scores": _scores,
    "metadata": _object,
    "metrics": _numbers,
    "tags": _tags,
    "origin": _origin,
    "classifications": _labels,
    "context": _context,
    "span_attributes": _object,
    "experiment_id": _text,
    "project_id": _text,
    "prompt_session_id": _text,
    "log_id": _text,
    "_is_merge": _bool,
    "_merge_paths": _any,
}

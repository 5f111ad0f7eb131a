"""Makes values with integers beyond 64 bits, which orjson refuses, such that it writes them.

To write a whole value by Python's own means takes ten times as long, and nothing else runs
meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

_MOST = 2**64 - 1
_LEAST = -(2**63)
_MAX_DEPTH = 254
"""Levels of nesting that orjson writes."""
_CONTAINERS = (dict, list, tuple)


def with_fragments(value: Any) -> Any:
    """Return ``value`` with each integer that is too large as the JSON text that it is written as.

    Dicts and lists that contain none are not copied.

    Raises:
        ValueError: an integer has more digits than Python writes, or the value contains itself or
            is nested too deep.
    """
    return _Replacement().of(value, 0)


class _Replacement:
    def __init__(self) -> None:
        self._known: dict[int, Any] = {}
        """What containers become, by their ids; themselves while they are looked into."""

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is int:
            return value if _LEAST <= value <= _MOST else orjson.Fragment(str(value))
        if kind not in _CONTAINERS or not value:
            return value
        if id(value) in self._known:
            return self._known[id(value)]
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deep")
        self._known[id(value)] = value
        items: Iterable[tuple[Any, Any]] = value.items() if kind is dict else enumerate(value)
        changed = {}
        for key, item in items:
            kind_of_item = type(item)
            if kind_of_item is int or (item and kind_of_item in _CONTAINERS):
                new = self.of(item, depth + 1)
                if new is not item:
                    changed[key] = new
        if changed:
            self._known[id(value)] = _changed(value, changed)
        return self._known[id(value)]


def _changed(value: Any, changed: dict[Any, Any]) -> Any:
    if type(value) is dict:
        return {**value, **changed}
    items = list(value)
    for index, item in changed.items():
        items[index] = item
    return items

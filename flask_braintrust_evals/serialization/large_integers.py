"""Makes values with integers beyond 64 bits, which orjson refuses, such that it writes them.

To write a whole value by Python's own means takes ten times as long, and nothing else runs
meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

_MOST = 2**64 - 1
_LEAST = -(2**63)
_MAX_DEPTH = 254
"""Levels of nesting that orjson writes."""
_PAUSE_AFTER = 20_000
"""Digits that are written at a stretch, which takes a millisecond."""
_CONTAINERS = (dict, list, tuple)


def with_fragments(value: Any, pause: Callable[[], None] = lambda: None) -> Any:
    """Return ``value`` with each integer that is too large as the JSON text that it is written as.

    Dicts and lists that contain none are not replaced.

    Args:
        value: the value.
        pause: called between two steps, if there are many such integers.

    Raises:
        ValueError: an integer has more digits than Python writes, or the value contains itself or
            is nested too deep.
    """
    return _Replacement(pause).of(value, 0)


class _Replacement:
    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause
        self._written = 0
        self._known: dict[int, tuple[Any, Any]] = {}
        """Containers and what they become, by their ids; themselves while they are looked into."""

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is int:
            return value if _LEAST <= value <= _MOST else self._fragment(value)
        if kind not in _CONTAINERS or not value:
            return value
        if id(value) in self._known:
            return self._known[id(value)][1]
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deep")
        self._known[id(value)] = value, value
        # In a copy, since the owner may change it during a pause.
        copy: Any = dict(value) if kind is dict else list(value)
        is_changed = False
        for key, item in copy.items() if kind is dict else enumerate(copy):
            kind_of_item = type(item)
            if kind_of_item is int or (item and kind_of_item in _CONTAINERS):
                new = self.of(item, depth + 1)
                if new is not item:
                    copy[key] = new
                    is_changed = True
        if is_changed:
            self._known[id(value)] = value, copy
        return self._known[id(value)][1]

    def _fragment(self, value: int) -> orjson.Fragment:
        text = str(value)
        self._written += len(text)
        if self._written > _PAUSE_AFTER:
            self._written = 0
            self._pause()
        return orjson.Fragment(text)

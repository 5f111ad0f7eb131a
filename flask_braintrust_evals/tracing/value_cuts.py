"""Makes values smaller, and keeps their form: in a conversation, only long texts are cut."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.serialization.json_writing import encoded_or_reason

from .json_cuts import json_within

MAX_DEPTH = 60
"""Levels of a value that are kept where it is cut."""
_STEPS = ((2, 200), (8, 50), (40, 20), (200, 8))
"""How much of a value is kept, tried one after another: the part of the limit that a text may take,
and the items of a list or an object."""


class Within(NamedTuple):
    """A value that is small enough: whether it was cut, and the bytes of its JSON text."""

    value: Any
    cut: bool
    size: int


def value_within(value: Any, limit: int) -> Within:
    """Return a JSON value, or one that is like it, whose text has at most ``limit`` bytes.

    Long texts are cut, and of long lists the first and the last items are kept; a note in them says
    how much there was. If that does not suffice, the value becomes a text: the beginning of its
    JSON.
    """
    data = encoded_or_reason(value)
    if len(data) <= limit:
        return Within(value, False, len(data))
    for part, items in _STEPS:
        smaller = _smaller(value, max(1, limit // part), items, MAX_DEPTH)
        size = len(encoded_or_reason(smaller))
        if size <= limit:
            return Within(smaller, True, size)
    text = json_within(data, limit)
    return Within(loads(text), True, len(text.encode()))


def _smaller(value: Any, longest: int, items: int, depth: int) -> Any:
    if type(value) is str:
        if len(value) <= longest:
            return value
        return f"{value[:longest]}… [cut: {len(value)} characters]"
    if type(value) not in (list, dict):
        return value
    if depth == 0:
        return "… [cut: nested deeper]"
    if type(value) is list:
        half = items // 2
        ends = value if len(value) <= items else [*value[:half], *value[half - items :]]
        kept = [_smaller(each, longest, items, depth - 1) for each in ends]
        if len(value) > items:
            kept.insert(half, f"… [cut: {len(value)} items]")
        return kept
    entries = list(value.items())
    smaller = {
        key if len(key) <= longest else f"{key[:longest]}…": _smaller(
            each, longest, items, depth - 1
        )
        for key, each in entries[:items]
    }
    if len(entries) > items:
        smaller["…"] = f"[cut: {len(entries)} entries]"
    return smaller

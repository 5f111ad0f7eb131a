"""Cuts the texts and values of spans. A note in what is left says how much there was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.tracing.json_cuts import json_within
from flask_braintrust_evals.tracing.sizes import ATTRIBUTE_OVERHEAD, text_size, value_size

MAX_DEPTH = 16
"""Levels of lists and dicts in an attribute. Each is three messages in OTLP, and readers of
protobuf accept a hundred: they would refuse the whole request. Deeper values become JSON text."""

_ITEM_OVERHEAD = 6
"""Bytes of an item of a list beside its value, at most."""
_SIMPLE = {str, bool, int, float, bytes, type(None)}


def cut_text(text: str, limit: int) -> str:
    """Return a text of at most ``limit`` bytes, or a note alone if not even that has room."""
    size = text_size(text)
    if size <= limit:
        return text
    note = f"… [cut: {size} bytes]"
    # First by characters, of which there are no more than bytes: the text may be very large.
    kept = _utf8(text[:limit])[: max(0, limit - text_size(note))]
    return kept.decode("utf-8", "ignore") + note


def cut_attributes(attributes: Mapping[str, Any] | None, limit: int) -> dict[str, Any]:
    """Return attributes whose names and values have at most ``limit`` bytes each."""
    return {
        cut_text(name, limit): _cut_attribute(name, value, limit)
        for name, value in (attributes or {}).items()
    }


def is_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Return whether a value has more than ``levels`` levels of lists and dicts."""
    if type(value) is str or not isinstance(value, Mapping | Sequence) or isinstance(value, bytes):
        return False
    if levels == 0:
        return True
    items = value.values() if isinstance(value, Mapping) else value
    if set(map(type, items)) <= _SIMPLE:
        return False
    return any(is_deep(item, levels - 1) for item in items)


def _cut_attribute(name: str, value: Any, limit: int) -> Any:
    if is_deep(value):
        value = dumps_or_reason(value)
    if isinstance(value, str) and name.startswith("braintrust."):
        # Not encoded if it is short, as most texts are.
        return value if text_size(value) <= limit else json_within(_utf8(value), limit)
    return _cut_value(value, limit)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _cut_value(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return cut_text(value, limit)
    if value_size(value) <= limit:
        return value
    if isinstance(value, bytes):
        return f"… [cut: {len(value)} bytes]"  # a part of a picture is of no use
    if isinstance(value, Mapping):
        return _cut_mapping(value, limit)
    return _cut_list(value, limit) if isinstance(value, Sequence) else value


def _cut_list(values: Sequence[Any], limit: int) -> list[Any]:
    """Return the items that fit into the limit; the last item says how many there were."""
    kept: list[Any] = []
    remaining = limit
    for value in values:
        item = _cut_value(value, limit)
        remaining -= value_size(item) + _ITEM_OVERHEAD
        if kept and remaining < 0:
            kept.append(f"… [cut: {len(values)} items]")
            break
        kept.append(item)
    return kept


def _cut_mapping(values: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Return the entries that fit into the limit; the last one says how many there were."""
    kept: dict[str, Any] = {}
    remaining = limit
    for name, value in values.items():
        key = cut_text(str(name), limit)
        item = _cut_value(value, max(0, limit - text_size(key)))
        remaining -= text_size(key) + value_size(item) + ATTRIBUTE_OVERHEAD
        if kept and remaining < 0:
            kept["…"] = f"[cut: {len(values)} entries]"
            break
        kept[key] = item
    return kept

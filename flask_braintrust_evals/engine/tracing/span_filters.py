"""Filters for the spans of a case, with the fields and the meaning of the ``braintrust`` SDK's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .span_data import SpanData

Matches = Callable[[SpanData], bool]


def span_filter(
    span_type: Iterable[str] | str | None, filters: Mapping[str, Any] | None
) -> Matches:
    """Return a function that says whether a span passes all filters.

    Args:
        span_type: types, one of which a span must have; empty or ``None``: any.
        filters: see :meth:`.CaseTrace.get_spans`. ``None`` filters nothing.

    Raises:
        ValueError: a filter is not known or not of its form, or ``span_type`` is given twice.
    """
    if filters is not None and not isinstance(filters, Mapping):
        raise ValueError(f"filters must be a dict, not {filters!r}")
    given = dict(filters or {})
    types = [span_type] if isinstance(span_type, str) else [*(span_type or ())]
    if span_type is not None and "span_type" in given:
        raise ValueError("span_type is given both as an argument and in filters; give it once")
    if types:
        given["span_type"] = types
    unknown = given.keys() - _FILTERS.keys()
    if unknown:
        raise ValueError(
            f"filters: unknown field {min(unknown)!r}; there are: {', '.join(_FILTERS)}"
        )
    matches = [
        make(f"filters.{name}", given[name]) for name, make in _FILTERS.items() if name in given
    ]
    return lambda span: all(each(span) for each in matches)


def _attribute_filter(attribute: str) -> Callable[[str, Any], Matches]:
    def make(where: str, allowed: Any) -> Matches:
        if not isinstance(allowed, list) or not all(isinstance(each, str) for each in allowed):
            raise ValueError(f"{where} must be a list of strings, not {allowed!r}")
        return lambda span: span.span_attributes.get(attribute) in allowed

    return make


def _error_filter(where: str, wanted: Any) -> Matches:
    if not isinstance(wanted, bool):
        raise ValueError(f"{where} must be True or False, not {wanted!r}")
    return lambda span: (span.error is not None) is wanted


def _metadata_filter(where: str, wanted: Any) -> Matches:
    if not isinstance(wanted, Mapping):
        raise ValueError(f"{where} must be a dict, not {wanted!r}")
    leaves = [*_leaves(where, wanted)]
    return lambda span: all(_equal(_at(span.metadata, path), value) for path, value in leaves)


def _duration_filter(where: str, bounds: Any) -> Matches:
    if not isinstance(bounds, Mapping) or bounds.keys() - {"min", "max"}:
        raise ValueError(f"{where} must be a dict with 'min' and 'max', not {bounds!r}")
    for value in bounds.values():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise ValueError(f"{where}: bounds must be finite numbers of seconds, not {value!r}")
    low, high = bounds.get("min", -math.inf), bounds.get("max", math.inf)
    return lambda span: low <= span.metrics["end"] - span.metrics["start"] <= high


_FILTERS: dict[str, Callable[[str, Any], Matches]] = {
    "span_type": _attribute_filter("type"),
    "name": _attribute_filter("name"),
    "has_error": _error_filter,
    "metadata": _metadata_filter,
    "duration": _duration_filter,
}


def _leaves(
    where: str, values: Mapping[Any, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if not isinstance(key, str):
            raise ValueError(f"{where}: keys must be strings, not {key!r}")
        if isinstance(value, Mapping):
            yield from _leaves(where, value, (*path, key))
        else:
            yield (*path, key), value


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _equal(found: Any, wanted: Any) -> bool:
    """Compare two JSON values: unlike Python, with ``True`` and ``1`` as different values."""
    if isinstance(found, bool) is not isinstance(wanted, bool):
        return False
    if isinstance(wanted, list):
        same_length = isinstance(found, list) and len(found) == len(wanted)
        return same_length and all(map(_equal, found, wanted))
    if isinstance(wanted, Mapping):
        same_keys = isinstance(found, Mapping) and found.keys() == wanted.keys()
        return same_keys and all(_equal(found[key], wanted[key]) for key in wanted)
    return bool(found == wanted)

"""Keywords of JSON Schema whose work, and whose errors, are bounded.

The ``jsonschema`` library compares each pair of items for ``uniqueItems``, collects all errors of
each part of an ``anyOf``, and matches patterns with :mod:`re`, which may take exponential time and
lets nothing else run meanwhile. All of these values come from callers.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice
from typing import Any

import regex
from jsonschema import ValidationError

from flask_braintrust_evals.errors import RequestError

from .check_work import current

Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]

MAX_ERRORS = 20
"""Errors that are collected, from which the best is reported."""
MAX_MATCHED = 50_000
"""Characters of a text that is matched with a pattern."""
MATCH_SECONDS = 0.05
"""Seconds that matching one text with one pattern may take."""
MAX_UNEVALUATED = 1_000
"""Items for ``unevaluatedItems`` and ``unevaluatedProperties``, which compare them in pairs."""

_compiled = functools.lru_cache(maxsize=256)(regex.compile)


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern matches anywhere in a text.

    Raises:
        RequestError: the text is too long, or matching takes too long, or the check as a whole.
    """
    if len(text) > MAX_MATCHED:
        raise RequestError(
            f"parameters: a text has {len(text)} characters, and one that must match the pattern"
            f" {pattern!r} may have {MAX_MATCHED}"
        )
    current.get().pause()
    try:
        return _compiled(pattern).search(text, timeout=MATCH_SECONDS) is not None
    except TimeoutError:
        raise RequestError(
            f"parameters: a text of {len(text)} characters takes too long to match with the pattern"
            f" {pattern!r}; send a shorter one, or make the pattern simpler"
        ) from None


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not matches(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, inner in patterns.items():
            for name, value in instance.items():
                if matches(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, additional: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = [
        name
        for name in instance
        if name not in known and not any(matches(pattern, name) for pattern in patterns)
    ]
    if validator.is_type(additional, "object"):
        for name in others:
            yield from validator.descend(instance[name], additional, path=name)
    elif not additional and others:
        named = ", ".join(map(repr, sorted(others)[:MAX_ERRORS]))
        were = "was" if len(others) == 1 else "were"
        yield ValidationError(f"Additional properties are not allowed ({named} {were} unexpected)")


def _any_of(
    validator: Any, schemas: list[Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    yield from _first_valid(validator, schemas, instance)


def _one_of(
    validator: Any, schemas: list[Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    first = yield from _first_valid(validator, schemas, instance)
    if first is None:
        return
    others = (
        each for each in schemas[first + 1 :] if validator.evolve(schema=each).is_valid(instance)
    )
    other = next(others, None)
    if other is not None:
        yield ValidationError(f"{instance!r} is valid under each of {other!r}, {schemas[first]!r}")


def _first_valid(
    validator: Any, schemas: list[Any], instance: Any
) -> Generator[ValidationError, None, int | None]:
    """Return the index of the first schema that allows a value; if none does, yield an error."""
    errors: list[ValidationError] = []
    for index, each in enumerate(schemas):
        found = list(islice(validator.descend(instance, each, schema_path=index), MAX_ERRORS))
        if not found:
            return index
        errors += found
    yield ValidationError(
        f"{instance!r} is not valid under any of the given schemas", context=errors
    )
    return None


def _unique_items(
    validator: Any, unique: bool, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not unique or not validator.is_type(instance, "array"):
        return
    known: set[str] = set()
    for item in instance:
        current.get().step()
        # Of the text, not of the value: numbers can be chosen so that their hashes are the same.
        text = json.dumps(_comparable(item), default=repr, sort_keys=True)
        if text in known:
            yield ValidationError(f"{instance!r} has non-unique elements")
            return
        known.add(text)


def _of_any_size(multiple_of: Keyword) -> Keyword:
    """Return the keyword ``multipleOf`` for integers that are larger than a float can be, too."""

    def of_any_size(
        validator: Any, factor: Any, instance: Any, schema: Any
    ) -> Iterator[ValidationError]:
        try:
            yield from multiple_of(validator, factor, instance, schema) or ()
        except OverflowError:
            if Fraction(instance) % Fraction(factor):
                yield ValidationError(f"{instance!r} is not a multiple of {factor}")

    return of_any_size


def _comparable(value: Any) -> Any:
    """Return a value in which equal numbers are of the same type."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: _comparable(each) for key, each in value.items()}
    return [_comparable(each) for each in value] if isinstance(value, list) else value


def _few(keyword: Keyword) -> Keyword:
    """Return a keyword that refuses values with very many items."""

    def few(
        validator: Any, value: Any, instance: Any, schema: Any
    ) -> Iterable[ValidationError] | None:
        if isinstance(instance, list | dict) and len(instance) > MAX_UNEVALUATED:
            raise RequestError(
                f"parameters: a value has {len(instance)} items, and may have {MAX_UNEVALUATED}"
                " where its schema has unevaluatedItems or unevaluatedProperties"
            )
        return keyword(validator, value, instance, schema)

    return few


_BOUNDED: dict[str, Keyword] = {
    "additionalProperties": _additional_properties,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}


def bounded(keywords: Mapping[str, Keyword]) -> dict[str, Keyword]:
    """Return keywords of a version of JSON Schema, with bounded ones in place of others."""
    result = {name: _BOUNDED.get(name, keyword) for name, keyword in keywords.items()}
    if "multipleOf" in result:
        result["multipleOf"] = _of_any_size(result["multipleOf"])
    for name in ("unevaluatedItems", "unevaluatedProperties"):
        if name in result:
            result[name] = _few(result[name])
    return result

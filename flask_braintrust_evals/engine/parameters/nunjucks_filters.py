"""The filters and tests of templates in the language of nunjucks.

Templates and values come from all users who may run evaluators. So no filter has an argument by
which its result or its work can grow, and all count what they read and make.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import pass_environment
from jinja2.filters import do_sort, ignore_case, make_attrgetter

from .template_limits import Budget, TemplateLimitError

MAX_DIGITS = 100
"""Digits of a number that operators and filters compute with."""
COUNTED = "counted"
READ = "read"
"""Filters that are put into templates; they return what they are given."""
_FOR_NUMBERS = ("divisibleby", "even", "odd")
"""Tests that use ``%``, which makes a text of any length of a short one."""
_ITEM_BY_ITEM = ("list", "sort", "sum", "title", "unique")
"""Filters that take time for each character of a text."""
_FILTERS = (
    "abs capitalize default d escape e first float last length count list lower reverse"
    " safe string title upper"
).split()
"""Filters of Jinja2 that make nothing larger than what they are given."""


def bounded_filters(
    known: Mapping[str, Callable[..., Any]], budget: Budget
) -> dict[str, Callable[..., Any]]:
    """Return the filters of templates, by those of Jinja2; they count in ``budget``."""
    filters = {name: _counting(known[name], budget, name) for name in _FILTERS}
    own: dict[str, Callable[..., Any]] = {
        "int": _to_int,
        "round": _round,
        "sort": _sort,
        "sum": _sum,
        "tojson": _to_json,
        "trim": _trim,
        "unique": _unique,
    }
    filters |= {name: _counting(function, budget, name) for name, function in own.items()}
    filters[COUNTED] = budget.counted
    filters[READ] = budget.read
    return filters


def bounded_tests(known: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    """Return the tests of templates, by those of Jinja2; they count what they compare."""

    def counting(name: str, test: Callable[..., Any]) -> Callable[..., Any]:
        if hasattr(test, "jinja_pass_arg"):  # whether there is a filter or a test of a name
            return test
        if name in _FOR_NUMBERS:
            return _for_numbers(name, test)
        return lambda *values: test(*map(budget.read, values))

    return {name: counting(name, test) for name, test in known.items()}


def _for_numbers(name: str, test: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*values: Any) -> Any:
        if not all(isinstance(each, int | float) for each in values):
            raise TemplateLimitError(f"the test '{name}' is for numbers only")
        return test(*values)

    return checked


def _counting(function: Callable[..., Any], budget: Budget, name: str) -> Callable[..., Any]:
    """Return a filter that counts what it is given, and what it makes of it."""
    takes_environment = hasattr(function, "jinja_pass_arg")

    def counting(*arguments: Any, **options: Any) -> Any:
        value = arguments[takes_environment]
        budget.read(value)
        if isinstance(value, str) and name in _ITEM_BY_ITEM:
            budget.step(len(value))
        result = function(*arguments, **options)
        budget.read(result if isinstance(result, str | list | tuple | Mapping) else "")
        return result

    if takes_environment:
        counting.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
    return counting


def bounded_number(value: Any) -> Any:
    """Return a number.

    Raises:
        TemplateLimitError: it has too many digits.
    """
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise TemplateLimitError(f"a number has more than {MAX_DIGITS} digits")
    return value


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _to_int(value: Any, default: int = 0) -> int:
    if isinstance(value, str) and len(value) > MAX_DIGITS:
        return default
    try:
        return int(float(value)) if isinstance(value, str) and "." in value else int(value)
    except (TypeError, ValueError, OverflowError):
        return default


def _round(value: Any, precision: int = 0) -> float:
    if not isinstance(precision, int) or not 0 <= precision <= MAX_DIGITS:
        raise TemplateLimitError(f"round takes from 0 to {MAX_DIGITS} digits, not {precision!r}")
    return round(float(value), precision)


def _sum(values: Iterable[Any], attribute: str | None = None) -> Any:
    items = [each[attribute] if attribute is not None else each for each in values]
    if not all(isinstance(each, int | float) for each in items):
        raise TemplateLimitError("sum is for numbers only")
    return bounded_number(sum(items))


def _trim(value: Any, characters: str | None = None) -> str:
    if characters is not None:
        raise TemplateLimitError("trim takes no characters: it removes whitespace")
    return str(value).strip()


@pass_environment
def _sort(
    environment: Any,
    value: Iterable[Any],
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: str | int | None = None,
) -> list[Any]:
    items = list(value)
    _count_look_ups(environment, items, attribute)
    return do_sort(environment, items, reverse, case_sensitive, attribute)


@pass_environment
def _unique(
    environment: Any,
    value: Iterable[Any],
    case_sensitive: bool = False,
    attribute: str | int | None = None,
) -> list[Any]:
    items = list(value)
    _count_look_ups(environment, items, attribute)
    key_of = make_attrgetter(environment, attribute, None if case_sensitive else ignore_case)
    found: dict[Any, Any] = {}
    for item in items:
        found.setdefault(hashable(key_of(item)), item)
    return list(found.values())


def _count_look_ups(environment: Any, items: list[Any], attribute: str | int | None) -> None:
    """Count a step for each part of the path of an attribute, of each item."""
    if isinstance(attribute, str):
        parts = 1 + attribute.count(".") + attribute.count(",")
        environment.budget.step(parts * (1 + len(items)))


def hashable(value: Any) -> Any:
    """Return what is equal for equal values, and has a hash that nobody can choose.

    Numbers can be chosen so that their hashes are the same; texts cannot.
    """
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "number", str(int(value))
    return value

"""Renders templates in the language of nunjucks, which is that of Jinja2, within limits.

Templates come from all users who may run evaluators. Jinja2's sandbox gives them no access to the
interpreter. This module limits the memory and the time that they can take: what is not needed in
prompts is refused, filters have no arguments by which their result can grow, and loops, filters
and what is written count against a :class:`Budget`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .template_limits import Budget, TemplateLimitError, check_size

MAX_DIGITS = 100
"""Digits of a number that operators and filters compute with."""
_FILTERS = (
    "abs capitalize default d escape e first float last length count list lower reverse"
    " safe sort string title trim unique upper"
).split()
"""Filters of Jinja2 that make nothing larger than what they are given."""
_REFUSED = {
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.Call: "a call",
    nodes.Concat: "~",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.AssignBlock: "set without a value",
    nodes.NSRef: "namespace",
    nodes.FilterBlock: "filter without a value",
}
_LITERALS = (nodes.List, nodes.Tuple, nodes.Dict)
_COUNTED = "counted"


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%", "+", "-", "//"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = all(isinstance(each, int | float) for each in (left, right))
        if not numbers or operator == "**":
            raise TemplateLimitError(
                f"'{operator}' is for numbers only, and powers are not computed"
            )
        return _number(super().call_binop(context, operator, _number(left), _number(right)))

    def getattr(self, obj: Any, attribute: str) -> Any:
        # In nunjucks, as in JavaScript, an object has its own items, and no methods of a dict.
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


def render(
    template: str,
    values: Mapping[str, Any],
    *,
    strict: bool,
    finalize: Callable[[Any], Any] | None = None,
) -> str:
    """Fill ``values`` into a template.

    Args:
        template: the template.
        values: plain JSON values.
        strict: whether a name without a value is an error.
        finalize: converts values before they are written; default: ``str``.

    Raises:
        TemplateLimitError: the template uses what is not supported, or reaches a limit.
        Exception: whatever the template's expressions raise.
    """
    check_size(template)
    budget = Budget()

    def write(value: Any) -> Any:
        budget.read(value)
        return value if finalize is None else finalize(value)

    environment = _Environment(
        undefined=jinja2.StrictUndefined if strict else jinja2.ChainableUndefined,
        finalize=write,
        keep_trailing_newline=True,
    )
    environment.globals.clear()
    environment.filters = _filters(environment.filters, budget)
    tree = environment.parse(template)
    _check(tree)
    _count_loops(tree)
    parts = []
    for part in jinja2.Template.from_code(
        environment, environment.compile(tree), environment.globals
    ).generate(values):
        budget.write(len(part))
        parts.append(part)
    return "".join(parts)


def _check(tree: nodes.Template) -> None:
    for kind, name in _REFUSED.items():
        if tree.find(kind) is not None:
            raise TemplateLimitError(f"{name} is not supported in prompts")
    for literal in tree.find_all(_LITERALS):
        is_target = getattr(literal, "ctx", "load") == "store"  # of a loop: for key, value in ...
        if not is_target and literal.find(nodes.Name) is not None:
            raise TemplateLimitError("lists and objects of variables are not supported in prompts")


def _count_loops(tree: nodes.Template) -> None:
    """Have each loop go over a filter of its items that counts them."""
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(
            loop.iter,
            _COUNTED,
            [],
            [],
            None,
            None,
            lineno=loop.lineno,
            environment=tree.environment,
        )


def _filters(
    known: Mapping[str, Callable[..., Any]], budget: Budget
) -> dict[str, Callable[..., Any]]:
    filters = {name: _counting(known[name], budget) for name in _FILTERS}
    own: dict[str, Callable[[Any], Any]] = {"tojson": _to_json, "int": _to_int, "sum": _sum}
    filters |= {name: _counting(function, budget) for name, function in own.items()}
    filters["round"] = _counting(_round, budget)
    filters[_COUNTED] = budget.counted
    return filters


def _counting(function: Callable[..., Any], budget: Budget) -> Callable[..., Any]:
    """Return a filter that counts what it is given, and what it makes of it."""
    takes_environment = hasattr(function, "jinja_pass_arg")

    def counting(*arguments: Any, **options: Any) -> Any:
        budget.read(arguments[takes_environment])
        result = function(*arguments, **options)
        budget.read(result if isinstance(result, str | list | tuple | Mapping) else "")
        return result

    if takes_environment:
        counting.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]
    return counting


def _number(value: Any) -> Any:
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
    return _number(sum(items))

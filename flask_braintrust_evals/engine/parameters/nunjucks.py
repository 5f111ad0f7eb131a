"""Renders templates in the language of nunjucks, which is that of Jinja2, within limits.

Templates come from all users who may run evaluators. Jinja2's sandbox gives them no access to the
interpreter. This module limits the memory and the time that they can take: what is not needed in
prompts is refused, filters have no arguments by which their result can grow, and loops, filters
and what is written count against a :class:`Budget`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .template_limits import Budget, TemplateLimitError

MAX_DIGITS = 100
"""Digits of a number that operators and filters compute with."""
_ITEM_BY_ITEM = ("list", "sort", "sum", "title", "unique")
"""Filters that take time for each character of a text."""
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
_READ = "read"
"""Filters that are put into templates; they return what they are given."""


class _Pausing(CodeGenerator):
    """Compiles templates, and lets other greenlets run now and then."""

    environment: _Environment

    def visit(self, node: nodes.Node, *arguments: Any, **options: Any) -> Any:
        self.environment.budget.step()
        return super().visit(node, *arguments, **options)


class _CountedTokens(Extension):
    """Counts the tokens of a template as it is parsed."""

    environment: _Environment

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            self.environment.budget.token()
            yield token


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%", "+", "-", "//"])
    code_generator_class = _Pausing

    def __init__(self, budget: Budget, **options: Any) -> None:
        super().__init__(extensions=[_CountedTokens], **options)
        self.budget = budget
        self.globals.clear()
        self.filters = _filters(self.filters, budget)
        self.tests = _tests(self.tests, budget)

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
    budget: Budget,
    *,
    strict: bool,
    finalize: Callable[[Any], Any] | None = None,
) -> str:
    """Fill ``values`` into a template.

    Args:
        template: the template.
        values: plain JSON values.
        budget: what the template may cost.
        strict: whether a name without a value is an error.
        finalize: converts values before they are written; default: ``str``.

    Raises:
        TemplateLimitError: the template uses what is not supported, or reaches a limit.
        Exception: whatever the template's expressions raise.
    """
    budget.begin(template)

    def write(value: Any) -> Any:
        budget.read(value)
        return value if finalize is None else finalize(value)

    environment = _Environment(
        budget,
        undefined=jinja2.StrictUndefined if strict else jinja2.ChainableUndefined,
        finalize=write,
        keep_trailing_newline=True,
    )
    tree = environment.parse(template)
    _prepare(tree, environment)
    code = environment.compile(tree)
    parts = []
    for part in jinja2.Template.from_code(environment, code, environment.globals).generate(values):
        budget.write(len(part))
        parts.append(part)
    return "".join(parts)


def _prepare(tree: nodes.Template, environment: _Environment) -> None:
    """Refuse what is not supported, and have loops, comparisons and slices count what they read."""

    def counting(value: nodes.Node, name: str) -> nodes.Filter:
        place: dict[str, Any] = {"lineno": value.lineno, "environment": environment}
        return nodes.Filter(value, name, [], [], None, None, **place)

    for node in _all_nodes(tree):
        environment.budget.step()
        refused = _REFUSED.get(type(node))
        if refused is not None:
            raise TemplateLimitError(f"{refused} is not supported in prompts")
        if isinstance(node, nodes.For):
            node.iter = counting(node.iter, _COUNTED)
        elif isinstance(node, nodes.Compare):
            node.expr = counting(node.expr, _READ)
            for operand in node.ops:
                operand.expr = counting(operand.expr, _READ)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            node.node = counting(node.node, _READ)
        elif isinstance(node, _LITERALS):
            is_target = getattr(node, "ctx", "load") == "store"  # of a loop: for key, value in ...
            if not is_target and node.find(nodes.Name) is not None:
                raise TemplateLimitError(
                    "lists and objects of variables are not supported in prompts"
                )


def _all_nodes(tree: nodes.Template) -> list[nodes.Node]:
    """Return all nodes of a tree, before any of them is changed."""
    found: list[nodes.Node] = [tree]
    for node in found:  # the loop appends to it
        found.extend(node.iter_child_nodes())
    return found


def _filters(
    known: Mapping[str, Callable[..., Any]], budget: Budget
) -> dict[str, Callable[..., Any]]:
    filters = {name: _counting(known[name], budget, name) for name in _FILTERS}
    own: dict[str, Callable[..., Any]] = {
        "tojson": _to_json,
        "int": _to_int,
        "round": _round,
        "sum": _sum,
    }
    filters |= {name: _counting(function, budget, name) for name, function in own.items()}
    filters[_COUNTED] = budget.counted
    filters[_READ] = _reading(budget)
    return filters


def _tests(known: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    """Return tests that count what they compare."""
    read = _reading(budget)

    def counting(test: Callable[..., Any]) -> Callable[..., Any]:
        if hasattr(test, "jinja_pass_arg"):  # whether there is a filter or a test of a name
            return test
        return lambda *values: test(*map(read, values))

    return {name: counting(test) for name, test in known.items()}


def _reading(budget: Budget) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        budget.read(value)
        return value

    return read


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

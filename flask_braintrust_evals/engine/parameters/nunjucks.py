"""Renders templates in the language of nunjucks, which is that of Jinja2, within limits.

Templates come from all users who may run evaluators. Jinja2's sandbox gives them no access to the
interpreter. This module limits the memory and the time that they can take: what is not needed in
prompts is refused, and loops, filters and what is written count against a :class:`Budget`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .nunjucks_filters import COUNTED, READ, bounded_filters, bounded_number, bounded_tests
from .template_limits import MAX_LOOPS, Budget, TemplateLimitError

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


class _Pausing(CodeGenerator):
    """Compiles templates, and lets other greenlets run now and then."""

    environment: _Environment

    def visit(self, node: nodes.Node, *arguments: Any, **options: Any) -> Any:
        if isinstance(node, nodes.For):
            self.environment.budget.pause()  # all that is in the loop is now read several times
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
        # Not optimized: that takes cubic time for nested expressions.
        super().__init__(extensions=[_CountedTokens], optimized=False, **options)
        self.budget = budget
        self.globals.clear()
        self.filters = bounded_filters(self.filters, budget)
        self.tests = bounded_tests(self.tests, budget)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = all(isinstance(each, int | float) for each in (left, right))
        if not numbers or operator == "**":
            raise TemplateLimitError(
                f"'{operator}' is for numbers only, and powers are not computed"
            )
        left, right = bounded_number(left), bounded_number(right)
        return bounded_number(super().call_binop(context, operator, left, right))

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return an item of a value, which has none of the attributes and methods of Python."""
        if isinstance(obj, LoopContext | jinja2.Undefined):
            return super().getitem(obj, argument)
        if argument == "length" and isinstance(obj, str | list):
            return len(obj)
        try:
            return obj[argument]
        except (TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)


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

    def write(value: Any) -> Any:
        budget.read(value)
        return value if finalize is None else finalize(value)

    environment = _Environment(
        budget,
        undefined=jinja2.StrictUndefined if strict else jinja2.ChainableUndefined,
        finalize=write,
        keep_trailing_newline=True,
    )
    code = _compiled(template, environment)
    parts = []
    for part in jinja2.Template.from_code(environment, code, environment.globals).generate(values):
        budget.write(len(part))
        parts.append(part)
    return "".join(parts)


def check(template: str, budget: Budget) -> None:
    """Check that a template can be rendered, as far as this depends on no value.

    Raises:
        TemplateLimitError: the template uses what is not supported, or reaches a limit.
        jinja2.TemplateSyntaxError: it is malformed.
    """
    _compiled(template, _Environment(budget))


def _compiled(template: str, environment: _Environment) -> CodeType:
    environment.budget.begin(template)
    environment.budget.tags(sum(map(template.count, ("{{", "{%", "{#"))))
    tree = environment.parse(template)
    _prepare(tree, environment)
    return environment.compile(tree)


def _prepare(tree: nodes.Template, environment: _Environment) -> None:
    """Refuse what is not supported, and have loops, comparisons and slices count what they read."""

    def counting(value: nodes.Node, name: str) -> nodes.Filter:
        place: dict[str, Any] = {"lineno": value.lineno, "environment": environment}
        return nodes.Filter(value, name, [], [], None, None, **place)

    for node, loops in _all_nodes(tree):
        environment.budget.step()
        refused = _REFUSED.get(type(node))
        if refused is not None:
            raise TemplateLimitError(f"{refused} is not supported in prompts")
        if isinstance(node, nodes.For):
            if loops >= MAX_LOOPS:
                raise TemplateLimitError(f"loops are nested deeper than {MAX_LOOPS} levels")
            node.iter = counting(node.iter, COUNTED)
        elif isinstance(node, nodes.Compare):
            node.expr = counting(node.expr, READ)
            for operand in node.ops:
                operand.expr = counting(operand.expr, READ)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            node.node = counting(node.node, READ)
        elif isinstance(node, _LITERALS):
            is_target = getattr(node, "ctx", "load") == "store"  # of a loop: for key, value in ...
            if not is_target and node.find(nodes.Name) is not None:
                raise TemplateLimitError(
                    "lists and objects of variables are not supported in prompts"
                )


def _all_nodes(tree: nodes.Template) -> list[tuple[nodes.Node, int]]:
    """Return all nodes of a tree, before any of them is changed, with the loops around each."""
    found: list[tuple[nodes.Node, int]] = [(tree, 0)]
    for node, loops in found:  # the loop appends to it
        inside = loops + isinstance(node, nodes.For)
        found.extend((child, inside) for child in node.iter_child_nodes())
    return found

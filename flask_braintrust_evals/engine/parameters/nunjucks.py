"""Renders templates in the language of nunjucks, which is that of Jinja2, within limits.

Templates come from all users who may run evaluators. Jinja2's sandbox gives them no access to the
interpreter. This module limits the memory that they can take: loops go over the values only,
operators can neither repeat nor join texts, and the length of the result is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARACTERS = 10_000_000
"""Characters of the text that a template is rendered to."""
_FILTERS = (
    "abs capitalize default d escape e first float int last length count list lower reverse round"
    " safe sort string sum title trim unique upper tojson"
).split()
_UNBOUNDED = {
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
}


class TemplateLimitError(Exception):
    """A template uses what is not supported in prompts, or its text is too long."""


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%", "+"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = all(isinstance(each, int | float) for each in (left, right))
        if not numbers or operator == "**":
            raise TemplateLimitError(
                f"'{operator}' is for numbers only, and powers are not computed"
            )
        return super().call_binop(context, operator, left, right)

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
        TemplateLimitError: the template uses what is not supported, or its text is too long.
        Exception: whatever the template's expressions raise.
    """
    environment = _Environment(
        undefined=jinja2.StrictUndefined if strict else jinja2.ChainableUndefined,
        finalize=finalize,
        keep_trailing_newline=True,
    )
    environment.globals.clear()
    environment.filters = {
        name: each for name, each in environment.filters.items() if name in _FILTERS
    }
    _check(environment.parse(template))
    parts, length = [], 0
    for part in environment.from_string(template).generate(values):
        length += len(part)
        if length > MAX_CHARACTERS:
            raise TemplateLimitError(f"the text is longer than {MAX_CHARACTERS} characters")
        parts.append(part)
    return "".join(parts)


def _check(tree: nodes.Template) -> None:
    for kind, name in _UNBOUNDED.items():
        if tree.find(kind) is not None:
            raise TemplateLimitError(f"{name} is not supported in prompts")

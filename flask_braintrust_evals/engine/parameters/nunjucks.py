"""Templates in nunjucks' language, which is that of Jinja2, with bounds.

They come from whoever may run evaluators. Jinja2's sandbox keeps them from the interpreter; what is
here keeps them from its memory: no loops but over the values, nothing that repeats or joins texts
without end, and no more text than a prompt can have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST = 10_000_000
"""Characters that a template may give."""
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


class TooMuchError(Exception):
    """A template asks for more than a prompt needs."""


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%", "+"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = all(isinstance(each, int | float) for each in (left, right))
        if not numbers or operator == "**":
            raise TooMuchError(f"'{operator}' is for numbers only, and powers are not computed")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        # In nunjucks, as in JavaScript, a value's own items have no methods beside them.
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
        finalize: what values become before they are written; default: their ``str()``.

    Raises:
        TooMuchError: the template has something that is not bounded, or gives too long a text.
        Exception: whatever its expressions raise.
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
        if length > LONGEST:
            raise TooMuchError(f"the text is longer than {LONGEST} characters")
        parts.append(part)
    return "".join(parts)


def _check(tree: nodes.Template) -> None:
    for kind, name in _UNBOUNDED.items():
        if tree.find(kind) is not None:
            raise TooMuchError(f"{name} is not supported in prompts")

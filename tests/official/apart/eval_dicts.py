"""Parameters as the guide to remote evals shows them for Python: dicts with a type."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

from typing import Any

from braintrust import Eval


def seen(input: Any, hooks: Any) -> Any:
    return dict(hooks.parameters)


def is_dict(output: Any) -> bool:
    return isinstance(output, dict)


PARAMETERS: Any = {
    "prefix": {"type": "string", "default": "hi", "description": "First word"},
    "loud": {"type": "boolean", "default": False},
    "count": {"type": "number", "default": 1},
    "words": {"type": "array", "default": ["a"]},
    "more": {"type": "object", "default": {"a": 1}},
}
Eval("dicts", data=[], task=seen, scores=[is_dict], parameters=PARAMETERS)

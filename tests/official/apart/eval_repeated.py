"""Two evaluators of one name in one file."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

from typing import Any

from braintrust import Eval


def task(input: Any, hooks: Any) -> Any:
    return input


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


Eval("repeated", data=[], task=task, scores=[exact])
Eval("repeated", data=[], task=task, scores=[exact])

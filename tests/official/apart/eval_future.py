"""Annotations as text, which a dataclass looks up in the module that it is defined in."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

from __future__ import annotations

import dataclasses
from typing import Any

from braintrust import Eval


@dataclasses.dataclass
class Point:
    x: int


def task(input: Any, hooks: Any) -> Any:
    return dataclasses.asdict(Point(input))


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


Eval("of a dataclass", data=[], task=task, scores=[exact])

"""What the tests of ``bp.load()`` share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from braintrust import framework

from flask_braintrust_evals import EvalsBlueprint, RegistrationError

IMPORTS = """\
from braintrust import Eval, EvalAsync, Reporter
def task(input, hooks):
    raise AssertionError("the task was run")
def data():
    raise AssertionError("the data was read")
def exact(output, expected):
    raise AssertionError("the scorer was run")
"""
FIRST_LINE = IMPORTS.count("\n") + 1
"""The line on which what comes after the imports begins."""

Write = Callable[..., Path]


class SdkState:
    """The globals that ``Eval()`` writes to, for which the SDK has no public names."""

    @property
    def registry(self) -> Any:
        return framework._evals

    @property
    def lazy(self) -> bool:
        """Whether ``Eval()`` only defines evaluators."""
        return framework._lazy_load

    def restore(self, evaluators: Any, reporters: Any) -> bool:
        """Put back what was there before; return whether it still was."""
        registry = self.registry
        unchanged = registry.evaluators is evaluators and registry.reporters is reporters
        unchanged &= not self.lazy
        registry.evaluators, registry.reporters = evaluators, reporters
        framework._lazy_load = False
        return unchanged


SDK = SdkState()


def eval_of(name: str, more: str = "") -> str:
    """A call of ``Eval()``."""
    return f"Eval({name!r}, data=data, task=task, scores=[exact]{more})"


def names(bp: EvalsBlueprint) -> list[str]:
    return [each.name for each in bp.registry]


def locations(bp: EvalsBlueprint) -> dict[str, str]:
    return {each.name: each.location for each in bp.registry}


def refusal(bp: EvalsBlueprint, path: str | os.PathLike[str]) -> str:
    """The text of the error with which a path is refused."""
    with pytest.raises(RegistrationError) as caught:
        bp.load(path)
    return str(caught.value)

"""A scorer given as a class, as the guides do with those of autoevals."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

from typing import Any

from braintrust import Eval, Score
from braintrust.score import Scorer


class Judge(Scorer):
    def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
        return Score(name=self._name(), score=float(output == expected))


def echo(input: Any, hooks: Any) -> Any:
    return input


Eval("of a class", data=[], task=echo, scores=[Judge])

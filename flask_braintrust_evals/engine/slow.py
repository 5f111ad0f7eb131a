"""An evaluator that does nothing, slowly: to see whether events come one by one."""

from __future__ import annotations

import time
from typing import Any

from .evaluator import Evaluator

NAME = "flask-braintrust-evals:slow"
"""Its name, which no list has."""
CASES = 2
SECONDS = 0.4
"""What each case takes; they run one after another."""


def _slowly(input: Any) -> Any:
    time.sleep(SECONDS)
    return input


SLOW = Evaluator(
    NAME, _slowly, data=[{"input": number} for number in range(CASES)], max_concurrency=1
)

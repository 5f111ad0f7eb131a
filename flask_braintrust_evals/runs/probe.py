"""An evaluator that only waits, with which ``flask evals check`` finds out how events arrive."""

from __future__ import annotations

import time
from typing import Any

from flask_braintrust_evals.engine.evaluator import Evaluator

NAME = "flask-braintrust-evals:slow"
"""The name of the evaluator, which ``/list`` does not show."""
CASES = 2
SECONDS = 0.4
"""Seconds that each case takes. The cases run one after another."""


def _wait(input: Any) -> Any:
    time.sleep(SECONDS)
    return input


PROBE = Evaluator(
    NAME, _wait, data=[{"input": number} for number in range(CASES)], max_concurrency=1
)

"""An evaluator that only waits: ``flask evals check`` sees by it whether events are held back."""

from __future__ import annotations

import time
from typing import Any

from flask_braintrust_evals.engine.evaluator import Evaluator

NAME = "flask-braintrust-evals:slow"
"""Its name, which no list has."""
CASES = 2
SECONDS = 0.4
"""What each case takes; they run one after another."""


def _wait(input: Any) -> Any:
    time.sleep(SECONDS)
    return input


PROBE = Evaluator(
    NAME, _wait, data=[{"input": number} for number in range(CASES)], max_concurrency=1
)

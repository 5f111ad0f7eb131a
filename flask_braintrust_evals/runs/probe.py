"""An evaluator that only waits, with which ``flask evals check`` finds out how events arrive."""

from __future__ import annotations

import time
from typing import Any

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import RequestError

from .spec import OwnCases, RunSpec

NAME = "flask-braintrust-evals:slow"
"""The name of the evaluator, which ``/list`` does not show."""
CASES = 2
SECONDS = 0.4
"""Seconds that each case takes. The cases run one after another."""
TIMEOUT = 30.0
"""Seconds that a run may take, which ends runs whose client does not read their events."""


def _wait(input: Any) -> Any:
    time.sleep(SECONDS)
    return input


PROBE = Evaluator(
    NAME,
    _wait,
    data=[{"input": number} for number in range(CASES)],
    max_concurrency=1,
    timeout=TIMEOUT,
    distributed=False,
)


def check_probe(spec: RunSpec) -> None:
    """Check that a run is as short as that of ``flask evals check``.

    Every server has this evaluator, and its runs are counted apart from all others.

    Raises:
        RequestError: the run has other cases than the evaluator's own, or several trials.
    """
    if not isinstance(spec.data, OwnCases):
        raise RequestError(
            f'data: evaluator {NAME!r} runs its own cases only: send {{"own": true}}'
        )
    if spec.trial_count not in (None, 1):
        raise RequestError(f"trial_count: evaluator {NAME!r} runs each of its cases once")

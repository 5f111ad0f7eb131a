"""The record of a run that has ended, for metrics, webhooks and the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.engine.values.summary import RunSummary


@dataclass(frozen=True)
class RunRecord:
    """A run that has ended.

    Attributes:
        evaluator: the evaluator's name.
        org: the caller's organisation; ``None``: the run acted without Braintrust.
        caller: tells callers apart, without saying who they are; ``None``: the server cannot.
        outcome: ``"finished"``, ``"failed"`` or ``"cancelled"``.
        reason: why it failed, or by whom it was cancelled; ``None``: it was not, or its client has
            left.
        error_type: the name of the exception's class, if it failed.
        duration: seconds.
        summary: its means and counts.
        lost_spans: spans that could not be delivered.
        own_scorers: the names of the evaluator's own scorers and classifiers; those of others are
            chosen by callers.
        description: its project and experiment, as in the ``start`` event.
    """

    evaluator: str
    org: str | None
    caller: str | None
    outcome: str
    reason: str | None
    error_type: str | None
    duration: float
    summary: RunSummary
    lost_spans: int
    own_scorers: frozenset[str]
    description: Mapping[str, Any]

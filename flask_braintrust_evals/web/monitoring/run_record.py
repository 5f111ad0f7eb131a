"""The record of a run of the server, for metrics, webhooks and the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.errors import RunCancelledError
from flask_braintrust_evals.texts.error_texts import error_text
from flask_braintrust_evals.texts.excerpts import shortened

logger = logging.getLogger("flask_braintrust_evals")


@dataclass
class RunRecord:
    """A run, and how it has ended.

    Attributes:
        evaluator: the evaluator's name.
        org: the caller's organisation; ``None``: the run acts without Braintrust.
        caller: tells callers apart, without saying who they are; ``None``: the server cannot.
        own_scorers: the names of the evaluator's own scorers and classifiers; those of others are
            chosen by callers.
        outcome: ``"finished"`` or ``"failed"``; until one of them is set, ``"cancelled"``.
        reason: why it failed, or by whom it was cancelled; ``None``: it was not, or its client has
            left.
        error_type: the name of the exception's class, if it failed.
        duration: seconds, when it has ended; so are the following.
        summary: its means and counts.
        lost_spans: spans that could not be delivered.
        description: its project and experiment, as in the ``start`` event.
    """

    evaluator: str
    org: str | None
    caller: str | None = None
    own_scorers: frozenset[str] = frozenset()
    outcome: str = "cancelled"
    reason: str | None = None
    error_type: str | None = None
    duration: float = 0.0
    summary: RunSummary = field(default_factory=RunSummary)
    lost_spans: int = 0
    description: Mapping[str, Any] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    def failed(self, error: Exception) -> None:
        """Note how the run has ended: it has failed, or was cancelled."""
        if isinstance(error, RunCancelledError):
            self.outcome, self.reason = "cancelled", str(error)
        else:
            self.outcome, self.reason = "failed", error_text(error)
            self.error_type = type(error).__name__

    def end(self, summary: RunSummary, lost_spans: int, description: Mapping[str, Any]) -> None:
        """Complete the record, and log it in one line, with its values as attributes for programs.

        It is a warning if the run failed, had no case, no case with one of its scores, or lost
        spans, or if the task or a scorer failed each time; otherwise it is information.
        """
        self.duration = time.monotonic() - self._started
        self.summary, self.lost_spans, self.description = summary, lost_spans, description
        warning = summary.warning if self.outcome == "finished" else ""
        scorer_errors = sum(summary.scorer_errors.values())
        is_bad = self.outcome == "failed" or lost_spans or warning
        level = logging.WARNING if is_bad else logging.INFO
        logger.log(
            level,
            "run of %r for %s %s after %.3f s: %d cases, %d failed, %d scorer errors%s%s%s%s",
            self.evaluator,
            f"organisation {self.org!r}" if self.org is not None else "no organisation",
            self.outcome,
            self.duration,
            summary.cases,
            summary.failed,
            scorer_errors,
            f", {summary.interrupted} interrupted" if summary.interrupted else "",
            f", {lost_spans} spans lost" if lost_spans else "",
            f"; {shortened(warning)}" if warning else "",
            f" ({shortened(self.reason)})" if self.reason else "",
            extra={
                "evaluator": self.evaluator,
                "organization": self.org,
                "caller": self.caller,
                "outcome": self.outcome,
                "duration": self.duration,
                "cases": summary.cases,
                "failed_cases": summary.failed,
                "scorer_errors": scorer_errors,
                "interrupted_cases": summary.interrupted,
                "lost_spans": lost_spans,
            },
        )

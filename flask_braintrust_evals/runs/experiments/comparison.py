"""Braintrust's comparison of an experiment with an earlier one, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.errors import CloudError

Entries = Mapping[str, Mapping[str, Any]]
"""What Braintrust says of each score or metric, by its name."""


@dataclass(frozen=True)
class Comparison:
    """Braintrust's comparison of an experiment with an earlier one.

    A comparison that could not be had is not the same as one without differences: ``skipped`` tells
    them apart.

    Attributes:
        scores, metrics: entries with ``improvements``, ``regressions`` and, if the earlier
            experiment has the score or metric, ``diff``.
        base_name: the name of the experiment that it is compared with; ``None``: there is none.
        skipped: why the comparison could not be had; empty: it could, or nothing is recorded that
            could be compared.
    """

    scores: Entries = field(default_factory=dict)
    metrics: Entries = field(default_factory=dict)
    base_name: str | None = None
    skipped: str = ""

    @classmethod
    def of_experiment(
        cls, session: UserSession, experiment_id: str, timeout: float | None = None
    ) -> Comparison:
        """Ask Braintrust for the comparison. It never raises because of Braintrust.

        Args:
            session: the caller's.
            experiment_id: the experiment, whose spans have been delivered.
            timeout: seconds that it may take, at most :data:`.objects.SUMMARY_TIMEOUT`; default:
                those.
        """
        try:
            answer = objects.summarize_experiment(session, experiment_id, timeout)
        except CloudError as error:
            return cls(skipped=f"the comparison could not be had from Braintrust: {error}")
        return cls.of_answer(answer)

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> Comparison:
        """Return what Braintrust's summary of an experiment says."""
        base = answer.get("comparison_experiment_name")
        return cls(
            _entries(answer.get("scores")),
            _entries(answer.get("metrics")),
            base if isinstance(base, str) and base else None,
        )


def changes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``improvements``, ``regressions`` and, if known, ``diff`` of a score or metric."""
    found = {name: entry.get(name, 0) for name in ("improvements", "regressions")}
    if "diff" in entry:
        found["diff"] = entry["diff"]
    return found


def _entries(value: Any) -> Entries:
    """Return those parts of an answer that are of the expected form: numbers, names and units."""
    if not isinstance(value, Mapping):
        return {}
    return {
        name: {key: each for key, each in entry.items() if _is_expected(key, each)}
        for name, entry in value.items()
        if isinstance(entry, Mapping)
    }


def _is_expected(key: str, value: Any) -> bool:
    if key in ("name", "unit"):
        return isinstance(value, str)
    return type(value) in (int, float)

"""The cases of a run, and what is known of where they are from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.engine.running.case_source import CasesToMake


@dataclass(frozen=True)
class CaseData:
    """The cases of a run.

    Attributes:
        cases: cases, or values that cases can be made from; or how to make them.
        dataset_id: the dataset that they are from; ``None``: they are from elsewhere.
        dataset_version: its version; ``None``: the latest.
    """

    cases: Iterable[Any] | CasesToMake
    dataset_id: str | None = None
    dataset_version: str | None = None

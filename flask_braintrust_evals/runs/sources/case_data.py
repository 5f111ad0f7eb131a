"""The cases of a run, and what is known of where they are from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from flask_braintrust_evals.cloud.objects import CloudObject
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.running.sources.case_source import CasesToMake


def close_cases(cases: Any) -> None:
    """Release what cases hold that are not read to their end, if they hold anything."""
    close = getattr(cases, "close", None)
    if close is not None:
        close()


@dataclass(frozen=True)
class CaseData:
    """The cases of a run.

    Attributes:
        cases: cases, or values that cases can be made from; or how to make them.
        dataset_id: the dataset that they are from; ``None``: they are from elsewhere.
        dataset_version: its version; ``None``: the latest.
        experiment: the experiment that they are from; ``None``: they are from elsewhere.
    """

    cases: Iterable[Any] | CasesToMake
    dataset_id: str | None = None
    dataset_version: str | None = None
    experiment: CloudObject | None = None

    @property
    def is_fetched(self) -> bool:
        """Whether the cases are rows of Braintrust, which each run fetches."""
        return self.dataset_id is not None or self.experiment is not None

    def selected(self, select: Callable[[Iterable[Any]], Iterable[Any]] | None) -> CaseData:
        """Return those of the cases that a function chooses; all of them if there is none."""
        if select is None:
            return self
        cases = self.cases
        if not isinstance(cases, CasesToMake):
            return replace(self, cases=select(cases))

        def make(cancellation: Cancellation) -> Iterable[Any]:
            made = cases.make(cancellation)
            try:
                yield from select(made)
            finally:
                close_cases(made)

        return replace(self, cases=CasesToMake(make, cases.close))

    def close(self) -> None:
        """Release what the cases hold, where no run reads them."""
        if isinstance(self.cases, CasesToMake):
            self.cases.close()

"""Chooses some of the cases of a run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.cli.stored_results.saved_results import key_of_case
from flask_braintrust_evals.engine.running.sources.case_source import PlacedCase
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.summary import cases_text
from flask_braintrust_evals.errors import DataError, EvalsError, RequestError
from flask_braintrust_evals.texts.error_texts import error_text
from flask_braintrust_evals.texts.safe_texts import safe_text


@dataclass(frozen=True)
class Selection:
    """A choice of the cases of the data. They keep their places in the data.

    Attributes:
        names: ids of cases, or the places from 1 of cases without an id; empty: all.
        failed: the keys of the cases that failed in an earlier run; ``None``: all.
        limit: the number of cases, from the first; ``None``: all.
        sample: the number of cases that are chosen by chance; ``None``: all.
        seed: makes the same choice each time.
    """

    names: Sequence[str] = ()
    failed: frozenset[str] | None = None
    limit: int | None = None
    sample: int | None = None
    seed: int = 0

    @property
    def chooses(self) -> bool:
        """Whether some cases are left out."""
        return bool(self.names or self.failed is not None or self.limit or self.sample)

    def __call__(self, cases: Iterable[Any]) -> Iterable[PlacedCase]:
        """Return the chosen ones of the cases, in their order.

        All cases are read before the run, unless only their number is limited.

        Raises:
            RequestError: there is no case with one of the names, or none that had failed.
            DataError: the cases cannot be read.
        """
        placed = (PlacedCase(index, case) for index, case in enumerate(cases))
        if not self.names and self.failed is None and self.sample is None:
            limited = itertools.islice(placed, self.limit)
            return list(limited) if isinstance(cases, list | tuple) else limited
        found = self._matching([_checked(each) for each in _read(placed)])
        if self.limit is not None:
            found = found[: self.limit]
        if self.sample is not None and self.sample < len(found):
            found = random.Random(self.seed).sample(found, self.sample)
            found.sort(key=lambda each: each.index)
        return found

    def _matching(self, placed: list[PlacedCase]) -> list[PlacedCase]:
        if self.names:
            named = {
                name: [each for each in placed if _is_named(each, name)] for name in self.names
            }
            unknown = [name for name, found in named.items() if not found]
            if unknown:
                raise RequestError(
                    f"--case: no case has the id {unknown[0]!r}, nor this place and no id;"
                    f" the data has {cases_text(len(placed))}"
                )
            chosen = {each.index for found in named.values() for each in found}
            placed = [each for each in placed if each.index in chosen]
        if self.failed is not None:
            placed = [each for each in placed if key_of_case(each.case) in self.failed]
            if not placed:
                raise RequestError("--failed-from: none of the cases that failed is in the data")
        return placed


def _read(cases: Iterable[PlacedCase]) -> Iterator[PlacedCase]:
    try:
        yield from cases
    except EvalsError:
        raise
    except Exception as error:
        raise DataError(f"the data could not be read: {error_text(error)}") from error


def _checked(placed: PlacedCase) -> PlacedCase:
    try:
        return PlacedCase(placed.index, EvalCase.of(placed.case))
    except DataError as error:
        raise DataError(f"case {placed.index + 1}: {error}") from None


def _is_named(placed: PlacedCase, name: str) -> bool:
    id = placed.case.id
    return name == str(placed.index + 1) if id is None else name == safe_text(id)

"""The evaluators of one blueprint, by name."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterator

from flask_braintrust_evals.errors import (
    DuplicateEvaluatorError,
    NotFoundError,
    RegistrationClosedError,
)

from .evaluator import Evaluator


class Registry:
    """Evaluators by name, in the order of their registration. The first request closes it."""

    def __init__(self) -> None:
        self._evaluators: dict[str, Evaluator] = {}
        self._closed = False
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Evaluator]:
        return iter(self._evaluators.values())

    def __len__(self) -> int:
        return len(self._evaluators)

    def add(self, evaluator: Evaluator) -> None:
        """Register an evaluator.

        Raises:
            DuplicateEvaluatorError: there is one of this name already.
            RegistrationClosedError: the first request has been served.
        """
        with self._lock:
            if self._closed:
                raise RegistrationClosedError(
                    f"evaluator {evaluator.name!r} ({evaluator.location}) comes too late: the"
                    " blueprint has served its first request, and other workers would not have it;"
                    " add it where the application is set up"
                )
            known = self._evaluators.get(evaluator.name)
            if known is not None:
                raise DuplicateEvaluatorError(_duplicate(known, evaluator))
            self._evaluators[evaluator.name] = evaluator

    def close(self) -> None:
        """Refuse further evaluators."""
        self._closed = True

    def get(self, name: str) -> Evaluator:
        """Return the evaluator of this name.

        Raises:
            NotFoundError: there is none; the message lists similar names, or else up to 20 names.
        """
        evaluator = self._evaluators.get(name)
        if evaluator is not None:
            return evaluator
        names = list(self._evaluators)
        similar = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if similar:
            hint = f"did you mean {' or '.join(map(repr, similar))}?"
        elif names:
            hint = f"there are: {', '.join(map(repr, sorted(names)[:20]))}"
        else:
            hint = "none are registered"
        shown = name if len(name) <= 200 else name[:200] + "…"
        raise NotFoundError(f"evaluator {shown!r} not found; {hint}")


def _duplicate(known: Evaluator, other: Evaluator) -> str:
    if known.location == other.location:
        return (
            f"evaluator {other.name!r} at {other.location} is registered twice; define it, or load"
            " its file, only once"
        )
    return (
        f"two evaluators are named {other.name!r}: one at {known.location}, one at"
        f" {other.location}; give one of them another name, such as {other.name + '-2'!r}"
    )

"""The evaluators of one blueprint, by name."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from flask_braintrust_evals.errors import NotFoundError, RegistrationClosedError
from flask_braintrust_evals.texts.excerpts import excerpt
from flask_braintrust_evals.texts.suggestions import did_you_mean

from .evaluator import Evaluator
from .naming import by_name, with_long_name


class Registry:
    """Evaluators by name, in the order of their registration. The first request closes it."""

    def __init__(self) -> None:
        self._added: list[Evaluator] = []
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
            DuplicateEvaluatorError: there is one of this name already, and neither of them has a
                long name that tells them apart; see :mod:`.naming`.
            RegistrationClosedError: the first request has been served.
        """
        with self._lock:
            if self._closed:
                raise RegistrationClosedError(
                    f"evaluator {evaluator.name!r} ({evaluator.location}) comes too late: the"
                    " blueprint has served its first request, and other workers would not have it;"
                    " add it where the application is set up"
                )
            self._evaluators = by_name([*self._added, evaluator])
            self._added.append(evaluator)

    def close(self) -> None:
        """Refuse further evaluators."""
        self._closed = True

    def find(self, name: str) -> Evaluator | None:
        """Return the evaluator of this name, or of this long name; ``None``: there is none."""
        found = self._evaluators.get(name)
        return found or with_long_name(name, list(self._evaluators.values()))

    def get(self, name: str) -> Evaluator:
        """Return the evaluator of this name, or of this long name.

        Raises:
            NotFoundError: there is none; the message lists similar names, or else up to 20 names.
        """
        evaluator = self.find(name)
        if evaluator is not None:
            return evaluator
        names = sorted(self._evaluators)
        hint = did_you_mean(name, names) if names else "none are registered"
        raise NotFoundError(f"evaluator {excerpt(name)} not found; {hint}")

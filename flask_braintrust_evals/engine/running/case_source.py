"""Hands out the cases of a run, one at a time, to the workers."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.error_texts import error_text
from flask_braintrust_evals.errors import CloudError, DataError, TooManyCasesError

from .executor import CaseJob


class CaseSource:
    """The cases of a run, each repeated for its trials. Thread-safe.

    Args:
        cases: cases, or what can be made a case; read one at a time.
        trial_count: trials of a case that does not say how many it has.
        max_cases: cases that may be handed out, each trial counted; ``None``: no limit.

    Attributes:
        exhausted: whether there are no more cases.
    """

    def __init__(
        self, cases: Iterable[Any], trial_count: int, max_cases: int | None = None
    ) -> None:
        self._iterator = _iterator_of(cases)
        self._trial_count = trial_count
        self._left = math.inf if max_cases is None else max_cases
        self._max_cases = max_cases
        self._lock = threading.Lock()
        self._current: tuple[EvalCase, int, Iterator[int]] | None = None
        self._taken = 0
        self.exhausted = False

    def take(self) -> CaseJob | None:
        """Return the next trial; ``None`` when there are no more.

        Raises:
            DataError: the source failed, or gave something that is not a case.
            TooManyCasesError: the source has more cases than allowed.
            CloudError: the source is Braintrust's, and failed.
        """
        with self._lock:
            while not self.exhausted:
                if self._current is None:
                    self._advance()
                    continue
                case, index, trials = self._current
                trial = next(trials, None)
                if trial is not None:
                    self._look_ahead(trials)
                    return CaseJob(case, index, trial)
                self._current = None
            return None

    def close(self) -> None:
        """Hand out nothing more, and close the source if it is a generator."""
        self.exhausted = True
        with self._lock:
            close = getattr(self._iterator, "close", None)
            if close is not None:
                close()

    def _advance(self) -> None:
        try:
            case = EvalCase.of(next(self._iterator))
        except StopIteration:
            self.exhausted = True
            return
        except DataError as error:
            self.exhausted = True
            raise DataError(f"case {self._taken}: {error}") from error
        except CloudError:
            self.exhausted = True
            raise
        except BaseException as error:
            self.exhausted = True
            raise DataError(
                f"the data could not be read after {self._taken} cases: {error_text(error)}"
            ) from error
        trials = case.trial_count or self._trial_count
        self._left -= trials
        if self._left < 0:
            self.exhausted = True
            raise TooManyCasesError(
                f"a run may have {self._max_cases} cases, with each trial counted"
                f" (BRAINTRUST_EVALS_MAX_CASES); the first {self._taken} of the data were run, and"
                " there are more"
            )
        self._current = case, self._taken, iter(range(trials))
        self._taken += 1

    def _look_ahead(self, trials: Iterator[int]) -> None:
        # Iterators of lists know that they are at their end: no worker is started to find out.
        no_more_cases = operator.length_hint(self._iterator, -1) == 0
        if no_more_cases and operator.length_hint(trials, -1) == 0:
            self.exhausted = True


def _iterator_of(cases: Iterable[Any]) -> Iterator[Any]:
    """Return an iterator; where there is none, one that raises the exception when it is read."""
    try:
        return iter(cases)
    except (Exception, SystemExit) as error:
        return map(_throw, [error])


def _throw(error: BaseException) -> Any:
    raise error

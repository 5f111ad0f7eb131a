"""Hands out the cases of a run, one at a time, to the workers."""

from __future__ import annotations

import logging
import math
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.running.cases.executor import CaseJob
from flask_braintrust_evals.engine.values.cases import FIELDS, EvalCase, own_trial_count
from flask_braintrust_evals.engine.values.summary import cases_text
from flask_braintrust_evals.errors import CloudError, DataError, EvalsError, TooManyCasesError
from flask_braintrust_evals.texts.error_texts import error_text
from flask_braintrust_evals.texts.excerpts import MAX_QUOTED, shortened

from .large_cases import Room

logger = logging.getLogger("flask_braintrust_evals")


@dataclass(frozen=True)
class CasesToMake:
    """Cases that the first worker of a run makes, because that may take long.

    Attributes:
        make: returns the cases. Its argument is set when the run ends early. An
            :class:`EvalsError` that it raises is that of the run.
        close: called instead, if the cases are never made.
    """

    make: Callable[[Cancellation], Iterable[Any]]
    close: Callable[[], None] = lambda: None


def cases_of(cases: Iterable[Any] | CasesToMake, cancellation: Cancellation) -> Iterable[Any]:
    """Return cases, which are made now unless they are there."""
    return cases.make(cancellation) if isinstance(cases, CasesToMake) else cases


@dataclass(frozen=True)
class PlacedCase:
    """A case of data of which only some cases are run.

    Attributes:
        index: its place in the data, from 0.
        case: the case, or what can be made a case.
    """

    index: int
    case: Any

    @property
    def trial_count(self) -> int | None:
        """How often it is run; ``None``: it does not say so itself, or not yet."""
        return own_trial_count(self.case)


class CaseSource:
    """The cases of a run, each repeated for its trials. Thread-safe.

    Args:
        cases: cases, or what can be made a case, read one at a time; or how to make them.
        trial_count: trials of a case that does not say how many it has.
        max_cases: cases that may be handed out, each trial counted; ``None``: no limit.
        outlive_run: whether the cases exist before and after the run, so that others get them too.
        room: limits the large cases that are handed out at a time; ``None``: no limit.

    Attributes:
        exhausted: whether there are no more cases.
    """

    def __init__(
        self,
        cases: Iterable[Any] | CasesToMake,
        trial_count: int,
        max_cases: int | None = None,
        outlive_run: bool = False,
        room: Room | None = None,
    ) -> None:
        self._cases = cases
        self._iterator: Iterator[Any] = iter(())
        self._opened = False
        self._cancellation = Cancellation()
        self._outlive_run = outlive_run
        self._room = room
        self._trial_count = trial_count
        self._allowed = math.inf if max_cases is None else max_cases
        self._max_cases = max_cases
        self._lock = threading.Lock()
        self._current: tuple[EvalCase, int, int, Iterator[int]] | None = None
        self._taken = 0
        self._known_left = math.inf
        self._told_ignored = False
        self.exhausted = False

    def take(self) -> CaseJob | None:
        """Return the next trial; ``None`` when there are no more. Waits for room if it is large.

        Its case is a copy where another trial, or another run, gets the same case: user code may
        change what it is given. A case that nobody else gets is not copied.

        Raises:
            DataError: the source failed, or gave something that is not a case.
            TooManyCasesError: the source has more cases than allowed.
            EvalsError: the source is Braintrust's, and failed.
        """
        job = self._take()
        if job is None:
            return None
        if self._room is not None and job.size:
            if not self._room.enter((job.index, job.trial_index), job.size):
                return None
        if self._outlive_run or (job.case.trial_count or self._trial_count) > 1:  # it is shared
            job.case = job.case.own_copy()
        return job

    def done(self, index: int, trial_index: int) -> None:
        """Note that a trial is no longer in memory, so that another large one may be handed out."""
        if self._room is not None and not self._room.is_empty:
            self._room.leave((index, trial_index))

    def _take(self) -> CaseJob | None:
        with self._lock:
            while not self.exhausted:
                if self._current is None:
                    self._advance()
                    continue
                case, index, size, trials = self._current
                trial = next(trials, None)
                if trial is not None:
                    self._look_ahead(trials)
                    return CaseJob(case, index, trial, size=size)
                self._current = None
            return None

    @property
    def left(self) -> float:
        """How many trials are left to be handed out; infinite where that is not known."""
        return 0 if self.exhausted else self._known_left

    def cancel(self) -> None:
        """Hand out nothing more, and cancel the making of the cases."""
        self.exhausted = True
        if self._room is not None:
            self._room.close()
        self._cancellation.set()

    def close(self) -> None:
        """Hand out nothing more, and close the source if it is a generator.

        Called when no worker uses it, because a generator that is being read cannot be closed.
        """
        self.exhausted = True
        with self._lock:
            never_read = not self._opened and isinstance(self._cases, Iterator | CasesToMake)
            close = getattr(self._cases if never_read else self._iterator, "close", None)
            self._current, self._cases, self._iterator = None, (), iter(())
        if close is not None:
            close()

    def _advance(self) -> None:
        try:
            if not self._opened:
                cases = cases_of(self._cases, self._cancellation)
                self._opened = True  # from here on, what fails is the reading
                self._iterator = iter(cases)
            value, index = next(self._iterator), self._taken
            if type(value) is PlacedCase:
                value, index = value.case, value.index
            case = EvalCase.of(value)
        except StopIteration:
            self.exhausted = True
            return
        except BaseException as error:
            self.exhausted = True
            if self._cancellation.is_set():
                return  # it may fail for that reason
            if isinstance(error, CloudError) or (
                isinstance(error, EvalsError) and not self._opened
            ):
                raise
            raise self._failure(error) from error
        is_row = not isinstance(value, EvalCase) and isinstance(value, dict | Mapping)
        if is_row and not value.keys() <= FIELDS:
            # A row that a function has read from Braintrust has fields of Braintrust, which are no
            # mistake: 'created', 'span_id' and others.
            if "_xact_id" not in value:
                self._tell_ignored(value)
        trials = case.trial_count or self._trial_count
        self._allowed -= trials
        if self._allowed < 0:
            self.exhausted = True
            raise TooManyCasesError(
                f"a run may have {self._max_cases} cases, with each trial counted"
                f" (BRAINTRUST_EVALS_MAX_CASES); the first {self._taken} of the data were run, and"
                " there are more"
            )
        size = 0 if self._room is None else self._room.size_if_large(case)
        self._current = case, index, size, iter(range(trials))
        self._taken += 1

    def _tell_ignored(self, value: Mapping[Any, Any]) -> None:
        """Log once that keys of a case mean nothing."""
        if not self._told_ignored:
            self._told_ignored = True
            keys = sorted(map(repr, value.keys() - FIELDS))
            logger.warning(
                "case %d of the data has keys that are ignored: %s; put what scorers need into"
                " 'metadata'",
                self._taken + 1,
                shortened(", ".join(keys), MAX_QUOTED),
            )

    def _failure(self, error: BaseException) -> DataError:
        if isinstance(error, DataError):
            return DataError(f"case {self._taken + 1}: {error}")
        after = cases_text(self._taken)
        return DataError(f"the data could not be read after {after}: {error_text(error)}")

    def _look_ahead(self, trials: Iterator[int]) -> None:
        # Iterators of lists know what is left: no worker is started to find out.
        cases = operator.length_hint(self._iterator, -1)
        self._known_left = math.inf if cases < 0 else cases + operator.length_hint(trials)
        if not self._known_left:
            self.exhausted = True

"""The workers of a run: each takes cases from its source, one after another, and has them run."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable
from dataclasses import InitVar, dataclass

from flask_braintrust_evals.concurrency.channel import ChannelClosedError
from flask_braintrust_evals.concurrency.gevent_patch import spawn
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.texts.error_texts import error_text

from .cases.executor import CaseExecutor
from .event_flow import EventFlow
from .run_users import RunUsers
from .sources.case_source import CaseSource

logger = logging.getLogger("flask_braintrust_evals")

MAX_ASKING = 2
"""Workers that wait for a case at a time, where nobody knows how many cases there are."""


@dataclass(eq=False)
class RunWorkers:
    """Starts the workers of a run.

    Args:
        executor: runs each case.
        source: has the cases.
        events: takes their events.
        users: each worker is one of them while it is at work.
        limit: workers at a time.
        places: limits the workers of all runs that share it; ``None``: no limit.
        lock: what the state of the run changes under.
        may_begin: returns whether the run begins new cases.
        fail: called with the reason where the run cannot go on; running cases are finished.
    """

    executor: CaseExecutor
    source: CaseSource
    events: EventFlow
    users: RunUsers
    limit: int
    places: InitVar[Places | None]
    lock: threading.Lock
    may_begin: Callable[[], bool]
    fail: Callable[[EvalsError], None]

    def __post_init__(self, places: Places | None) -> None:
        self._places = (places or Places(sys.maxsize)).group(self._start)
        self._asking = 0  # workers that wait for a case, or are about to

    def add(self) -> bool:
        """Have a worker started, if the run needs and may have one more; return whether it is."""
        if not self._are_wanted():  # without the lock, which spares most cases that
            return False
        # If there is no place, the worker starts later, when there is one.
        if not self._places.take() or self._start():
            return True
        self._places.release()
        return False

    def close(self) -> None:
        """Start no more workers. Called when nobody uses the run any more.

        What leads back to this object and to the run is given up: they would otherwise exist until
        a garbage collection, which takes the longer the more of them there are.
        """
        self.may_begin = self._places.start = lambda: False
        self.fail = lambda error: None

    def _are_wanted(self) -> bool:
        """Return whether the run may have one more worker, and that may find a case."""
        left = self.source.left
        most_asking = MAX_ASKING if left == math.inf else left
        # The consumer is one of the users.
        return len(self.users) <= self.limit and self._asking < most_asking

    def _start(self) -> bool:
        """Start a worker, for which a place was taken; return false if none is started."""
        with self.lock:
            if not self.may_begin() or not self._are_wanted():
                return False
            number = self.users.add_worker()
            self._asking += 1
            self.events.make_room_for(self.users.workers)
        try:
            spawn(lambda: self._work(number), f"eval-{number}")
        except (RuntimeError, MemoryError) as error:
            self._note_asked()
            # The workers that there are go on; where there are none, the run has failed.
            if self.users.workers == 1:
                self.fail(EvalsError(f"no worker could be started: {error}"))
            self._leave(number)
            return False
        return True

    def _may_ask_again(self) -> bool:
        """Note that a worker asks for another case; false: enough others already wait for one.

        A worker has a place among those of all runs, which it must not keep while data comes
        slowly. When the next case begins, another worker is started.
        """
        with self.lock:
            if self.source.left == math.inf and self._asking >= MAX_ASKING:
                return False
            self._asking += 1
            return True

    def _note_asked(self) -> None:
        """Note that a worker has got a case, or will get none.

        Not called if taking a case fails, if there is none left when the worker begins, or if the
        run has ended: nobody looks at the number again.
        """
        with self.lock:
            self._asking -= 1

    def _leave(self, number: int) -> None:
        """Note that a worker no longer uses the run; tell the consumer if it was the last one."""
        if self.users.leave(number):
            self.events.note_no_workers()

    # --- On the thread of a worker ---

    def _work(self, number: int) -> None:
        has_place, is_first = True, True
        try:
            # A worker does not wait for its turn only to find that there is nothing left.
            while self.may_begin() and not self.source.exhausted:
                wait_for_turn(Turn.BEGIN)
                # Before its first case, it is counted since it was started.
                if not is_first and not self._may_ask_again():
                    break
                job = self.source.take()
                is_first = False
                self._note_asked()
                if job is None:
                    break
                try:
                    self.executor.run(job, self.events.emitter(job.size))
                except BaseException:  # its last event does not come
                    self.source.done(job.index, job.trial_index)
                    raise
                del job  # while waiting for the next one
                if self._places.give_up():  # to another run; other workers of this one go on
                    has_place = False
                    break
        except ChannelClosedError:
            pass
        except EvalsError as error:
            self.fail(error)
        except BaseException as error:
            # First of all, so that whatever else goes wrong, the run does not seem to be done.
            self.fail(EvalsError(error_text(error)))
            logger.exception("a worker failed")
        finally:
            try:
                if has_place:
                    self._places.release()
            finally:
                self._leave(number)

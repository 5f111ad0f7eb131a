"""The way of a run's events from its workers to its consumer."""

from __future__ import annotations

import functools
import time
from queue import Empty

from flask_braintrust_evals.concurrency.channel import Channel, ChannelClosedError
from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.turns import Turn, TurnWait, wait_for_turn
from flask_braintrust_evals.engine.values.events import CaseProgress, CaseStarted, Event, Idle

from .cases.executor import Emit

MAX_WAITING_EVENTS = 64
"""Events that may wait for the consumer before the workers wait for it, where they are few."""
EVENTS_PER_CASE = 3
"""Events of a case that reports no progress. So many may wait for each worker at work, because all
of them may end at the same time."""
MAX_WAITING_BYTES = 1_000_000
"""Bytes of their outputs, likewise."""
MAX_SLICE = 0.001
"""Seconds for which workers may go on, while an event waits, before they let the consumer run."""


class _NoWorkers(Event):
    """The last worker has ended."""


class EventFlow:
    """Takes the events of workers, which wait if there are too many, and hands them out in lists.

    Args:
        idle_after: seconds of silence after which to hand out :class:`Idle`; ``None``: never.
    """

    def __init__(self, idle_after: float | None) -> None:
        self._idle_after = idle_after
        self._is_patched = is_patched()
        self._channel: Channel[Event] = Channel(MAX_WAITING_EVENTS, MAX_WAITING_BYTES)
        self._pause_at: float | None = None  # when a worker lets others run; None: no event waits
        # Whether there has been an event other than CaseStarted, and whether one was handed out.
        self._has_results = False
        self._handed_out_results = False
        self._turn_wait: TurnWait | None = None  # of the consumer, while it waits for its turn

    def take(self) -> tuple[list[Event], bool]:
        """Wait for events; return them, which may be none, and whether no others will come."""
        try:
            batch = self._channel.take(self._idle_after, self._wait_for_turn)
        except Empty:
            return [Idle()], False
        except ChannelClosedError:  # the run was ended by another thread
            return [], False
        self._pause_at = self._turn_wait = None
        if self._has_results and not self._handed_out_results:
            # The first one may still wait for the consumer to make room.
            self._handed_out_results = not all(isinstance(each, CaseStarted) for each in batch)
        no_workers = isinstance(batch[-1], _NoWorkers)
        if no_workers:
            batch.pop()
        return batch, no_workers

    def _wait_for_turn(self) -> None:
        self._turn_wait = TurnWait()
        is_first = self._has_results and not self._handed_out_results
        wait_for_turn(Turn.FIRST_RESULT if is_first else Turn.CONSUME, self._turn_wait)

    def make_room_for(self, workers: int) -> None:
        """Let the events of a case of each of so many workers wait for the consumer."""
        self._channel.capacity = max(self._channel.capacity, EVENTS_PER_CASE * workers)

    def emitter(self, size: int) -> Emit:
        """Return what emits the events of a case; each of a large one keeps all of it in memory."""
        return functools.partial(self._emit, size=size) if size else self._emit

    def note_no_workers(self) -> None:
        """Have the consumer told, after all other events, that no others will come."""
        self._channel.put_last(_NoWorkers())

    def close(self) -> None:
        """Drop what is waiting. Whoever emits an event gets :class:`ChannelClosedError`."""
        self._channel.close()

    def _emit(self, event: Event, size: int = 0) -> None:
        is_result = not isinstance(event, CaseStarted)
        if is_result and not self._has_results:
            self._has_results = True
            if self._turn_wait is not None:
                self._turn_wait.move_to(Turn.FIRST_RESULT)
        self._channel.put(event, size + event.size)
        if not self._is_patched:
            return
        # Tasks that never wait would keep gevent from ever running the consumer. Threads need no
        # help: Python itself lets another one run every few milliseconds.
        now = time.monotonic()
        if self._pause_at is None:
            self._pause_at = now + MAX_SLICE
        elif now > self._pause_at and is_result and not self._is_followed_by_turns(event):
            self._pause_at = now + MAX_SLICE
            time.sleep(0)

    def _is_followed_by_turns(self, event: Event) -> bool:
        """Return whether the consumer waits for its turn, and the worker will wait for one, too.

        It does so between the steps of a case. A task that reports progress may go on for long.
        """
        return self._turn_wait is not None and not isinstance(event, CaseProgress)

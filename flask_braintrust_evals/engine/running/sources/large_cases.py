"""Bounds the memory of a run's large cases: only so many of them run at a time.

A caller can send one large case and ask for many trials of it. Each trial has the output and its
JSON in memory, its own copy of what a task could change, and spans with both.
"""

from __future__ import annotations

import threading
from typing import Any

from flask_braintrust_evals.engine.values.cases import EvalCase

Trial = tuple[int, int]
"""The index of a case, and of one of its trials."""
LARGE = 100_000
"""Bytes from which on a case is large."""
ROOM = 24_000_000
"""Bytes that the large cases of a run may have that run at a time; a single one may have more."""
COPIES = 6
"""How often the texts of a case are in memory besides, while its spans are: the input in those of
the case and of its scorers, and as often an output that is like it, which is encoded as well."""
_OTHER = 64
"""Bytes of a key, and of a value that is no text, dict or list."""
_HEAD = 24
"""Bytes of a dict or list besides those that it tells."""


def size_if_large(case: EvalCase, own: int = 0, recorded: int = 0) -> int:
    """Return about how many bytes of memory the values of a case take; 0: it is not large.

    Objects of user code count little: callers cannot send them. Values are counted until they need
    more than there is room for, besides their texts. ``own`` are bytes that the case takes besides
    its values, and ``recorded`` those of its texts that each of its spans may have.
    """
    values = [case.input, case.expected]
    # The last four are in events and spans. Most cases have none of these.
    for value in (case.metadata, case.id, case.upsert_id, case.origin, case.tags):
        if value is not None:
            values.append(value)
    size, texts = _sizes([values])
    size += own + texts + COPIES * min(texts, recorded)
    return size if size >= LARGE else 0


def size_of_copy(value: Any) -> int:
    """Return about how many bytes of memory a copy of a value takes, whose texts are shared."""
    return _sizes([(value,)])[0]


def _sizes(containers: list[Any]) -> tuple[int, int]:
    """Return about how many bytes of memory values take without their texts, and those of these."""
    size = texts = 0
    size_of_text = str.__sizeof__
    for container in containers:  # the loop appends to it
        if type(container) is dict:
            size += _OTHER * len(container)
        for item in container.values() if type(container) is dict else container:
            kind = type(item)
            if kind is str:
                texts += size_of_text(item)
            elif kind is dict or kind is list:
                size += _HEAD + kind.__sizeof__(item)
                containers.append(item)
            else:
                size += _OTHER
        if size > ROOM:
            break
    return size, texts


class Room:
    """The room that the large cases of one run share. Thread-safe.

    Args:
        size: bytes that there are.
        own: bytes that each trial takes besides the values of its case, such as for its copy of the
            parameters.
        recorded: bytes of the texts of a case that each of its spans may have; 0: there are none.
    """

    def __init__(self, size: int = ROOM, own: int = 0, recorded: int = 0) -> None:
        self._size = size
        self._own = own
        self._recorded = recorded
        self._inside: dict[Trial, int] = {}
        self._closed = False
        # As in Channel: with a plain Lock, a Condition costs gevent a switch.
        self._changed = threading.Condition(threading.RLock())

    @property
    def is_empty(self) -> bool:
        """Whether no case is inside, as of most runs."""
        return not self._inside

    def size_if_large(self, case: EvalCase) -> int:
        """Return about how many bytes a trial of a case takes; 0: it need not enter."""
        return size_if_large(case, self._own, self._recorded)

    def enter(self, trial: Trial, size: int) -> bool:
        """Wait until there is room for a trial; return false if the run has ended instead."""
        with self._changed:
            while self._inside and sum(self._inside.values()) + size > self._size:
                if self._closed:
                    break
                self._changed.wait()
            if not self._closed:
                self._inside[trial] = size
            return not self._closed

    def leave(self, trial: Trial) -> None:
        """Give the room of a trial back, if it has any."""
        with self._changed:
            if self._inside.pop(trial, None) is not None:
                self._changed.notify_all()

    def close(self) -> None:
        """Let nothing more in."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

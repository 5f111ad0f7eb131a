"""A thread that makes calls for other threads, one after another."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from .gevent_patch import start_thread
from .job import Job

T = TypeVar("T")


class OneThread:
    """Makes calls in one thread, which ends with :meth:`end`.

    Raises:
        RuntimeError: the system has no more threads.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Job[Any], Callable[[], Any]] | None] = SimpleQueue()
        start_thread(self._serve, name)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the thread, and wait; return what it returns, raise what it raises."""
        job: Job[T] = Job()
        self._calls.put((job, function))
        return job.wait()

    def end(self) -> None:
        """Have the thread end after the calls that were asked for."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            job, function = call
            job.run(function)
            del call, job, function  # while waiting for the next one

"""A flag that cancels a run, and the callbacks that it calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from .gevent_patch import new_event


class Cancellation:
    """A flag that is set once, with callbacks that are called then. Thread-safe."""

    def __init__(self) -> None:
        self.event = new_event()
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], None]] = {}

    def is_set(self) -> bool:
        return self.event.is_set()

    def set(self) -> None:
        """Set the flag and call every callback; later calls do nothing."""
        with self._lock:
            if self.event.is_set():
                return
            self.event.set()
            callbacks = list(self._callbacks.values())
        with ExitStack() as all_of_them:  # each also if another one raises
            for callback in reversed(callbacks):
                all_of_them.callback(callback)

    def sets_too(self, other: Cancellation) -> None:
        """Have ``other`` set with this one, or at once if this one is set."""
        with self._lock:
            self._callbacks[object()] = other.set
            already = self.event.is_set()
        if already:
            other.set()

    @contextmanager
    def child(self) -> Iterator[Cancellation]:
        """Yield a flag of its own, which is set with this one if that happens within the block."""
        child = Cancellation()
        with self.calling(child.set):
            yield child

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` if the flag is set within the block, or was set before."""
        key = object()
        with self._lock:
            self._callbacks[key] = callback
            already = self.event.is_set()
        if already:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)

"""A flag that cancels a run, and the callbacks that it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from .gevent_patch import new_event, new_lock, set_event


class Cancellation:
    """A flag that is set once, with callbacks that are called then. Thread-safe.

    Attributes:
        event: set with the flag, for user code to wait for.
    """

    def __init__(self) -> None:
        self.event = new_event()
        self._is_set = False
        self._lock = new_lock()
        self._callbacks: dict[object, Callable[[], None]] = {}

    def is_set(self) -> bool:
        return self.event.is_set()

    def set(self) -> None:
        """Set the flag and call every callback; later calls do nothing."""
        with self._lock:
            if self._is_set:
                return
            self._is_set = True
            callbacks = list(self._callbacks.values())
        with ExitStack() as all_of_them:  # called at its end, each also if another one raises
            for callback in reversed(callbacks):
                all_of_them.callback(callback)
            set_event(self.event)  # before them; without the lock, since it may wait

    @contextmanager
    def child(self) -> Iterator[Cancellation]:
        """Yield a flag of its own, which is set with this one if that happens within the block."""
        child = Cancellation()
        with self.calling(child.set):
            yield child

    def calling(self, callback: Callable[[], None]) -> _Calling:
        """Call ``callback`` if the flag is set within the block, or was set before."""
        return _Calling(self, callback)

    def add(self, key: object, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the flag is set, or was set; unless ``key`` is removed before."""
        with self._lock:
            self._callbacks[key] = callback
            already = self._is_set
        if already:
            callback()

    def remove(self, key: object) -> None:
        """Forget the callback that was added with ``key``."""
        with self._lock:
            self._callbacks.pop(key, None)


class _Calling:
    """A block in which a callback is called; see :meth:`Cancellation.calling`."""

    __slots__ = ("_callback", "_cancellation")

    def __init__(self, cancellation: Cancellation, callback: Callable[[], None]) -> None:
        self._cancellation = cancellation
        self._callback = callback

    def __enter__(self) -> None:
        self._cancellation.add(self, self._callback)

    def __exit__(self, *_: object) -> None:
        self._cancellation.remove(self)

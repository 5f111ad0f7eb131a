"""A selector for an event loop in a thread of its own, under gevent.

The thread's hub waits for the descriptors, so that greenlets of the thread, which coroutines may
have started, run meanwhile. gevent has a selector of its own for that. This one can also be woken
from other threads, without a system call if it has not been noticed yet that it was woken before,
and without a descriptor that has to be read.
"""

from __future__ import annotations

import selectors
import sys
from typing import Any

# The numbers of libev's events, too.
_READ_OR_WRITE = selectors.EVENT_READ | selectors.EVENT_WRITE


# The base is private. It finds keys by sockets as well as by numbers, as asyncio does, and is that
# of gevent's own selector.
class HubSelector(selectors._BaseSelectorImpl):
    """A selector of the calling thread's hub. Only :meth:`wake` may be called on other threads."""

    def __init__(self) -> None:
        super().__init__()
        self._hub = sys.modules["gevent"].get_hub()
        self._new_waiter = sys.modules["gevent.hub"].Waiter
        self._watchers: dict[int, Any] = {}
        self._stopped: set[int] = set()  # the descriptors whose watchers are not started
        self._ready: dict[int, int] = {}
        self._is_woken = False
        self._waiter: Any = None
        self._wake = self._hub.loop.async_()
        self._wake.start(self._note_wake)

    def wake(self) -> None:
        """Have :meth:`select` return, now or when it is called next."""
        self._wake.send()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        try:
            watcher = self._hub.loop.io(key.fd, events)
        except BaseException:  # it is no open descriptor, and may be that of a socket later
            super().unregister(fileobj)
            raise
        watcher.priority = self._hub.loop.MAXPRI
        self._watchers[key.fd] = watcher
        self._stopped.add(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        _close(self._watchers.pop(key.fd))
        self._stopped.discard(key.fd)
        self._ready.pop(key.fd, None)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        for fd in self._stopped:
            self._watchers[fd].start(self._note_ready, fd, pass_events=True)
        self._stopped.clear()
        # If something is ready, the hub nevertheless looks at everything else once.
        self._wait(0.0 if self._ready or self._is_woken else timeout)
        self._is_woken = False
        ready, self._ready = self._ready, {}
        for fd in ready:
            # Stopped until the next call: what is not read would wake the hub again and again.
            self._watchers[fd].stop()
            self._stopped.add(fd)
        keys = self.get_map()
        return [(keys[fd], events & keys[fd].events) for fd, events in ready.items()]

    def close(self) -> None:
        for watcher in (*self._watchers.values(), self._wake):
            _close(watcher)
        self._watchers.clear()
        super().close()

    def _wait(self, timeout: float | None) -> None:
        waiter = self._waiter = self._new_waiter(self._hub)
        timer = None
        if timeout is not None:
            # Also for no time at all: by a timer, which the hub looks at when it has looked at the
            # descriptors.
            timer = self._hub.loop.timer(max(0.0, timeout))
            timer.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            self._waiter = None
            if timer is not None:
                _close(timer)

    def _note_ready(self, events: int, fd: int) -> None:
        if events < 0:  # the descriptor is not one any more; reading it tells why
            events = _READ_OR_WRITE
        self._ready[fd] = self._ready.get(fd, 0) | events
        self._end_wait()

    def _note_wake(self) -> None:
        self._is_woken = True
        self._end_wait()

    def _end_wait(self) -> None:
        if self._waiter is not None:
            self._waiter.switch(None)


def _close(watcher: Any) -> None:
    watcher.stop()
    watcher.close()

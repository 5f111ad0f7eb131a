"""Queues the encoded spans of one run and sends them in batches, with retries."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from flask_braintrust_evals.concurrency.gevent_patch import new_lock
from flask_braintrust_evals.errors import CloudError

from .limits import MAX_SPAN_BYTES

logger = logging.getLogger("flask_braintrust_evals")

BATCH_SPANS = 500
BATCH_BYTES = MAX_SPAN_BYTES
"""Limits of one request. Braintrust refuses requests above about 6 MB."""
MAX_QUEUED_SPANS = 20_000
MAX_QUEUED_BYTES = 32_000_000
"""Limits of the queue while Braintrust accepts nothing. Further spans are dropped and counted."""
MAX_BYTES_UNDER_WAY = 16_000_000
"""Bytes of the batches that are sent at a time, each of which is in memory twice. Whoever has
another one waits: if Braintrust is slow, each worker of the run would otherwise send one."""
MIN_PAUSE = 0.25
MAX_PAUSE = 5.0
"""Seconds between attempts while Braintrust accepts nothing; each pause is twice the last one."""
ATTEMPT_TIMEOUT = 10.0
"""Seconds that one attempt may take."""


class Chunk(Protocol):
    """Some encoded spans that are sent together."""

    @property
    def count(self) -> int:
        """The number of spans."""

    @property
    def size(self) -> int:
        """The bytes that they add to a request, at most."""


C = TypeVar("C", bound=Chunk)


class SpanExporter(Generic[C]):
    """Sends the spans of one run to Braintrust. Thread-safe.

    Args:
        send: called with a batch and the seconds that sending it may take; raises
            :class:`CloudError` if it fails.

    Attributes:
        lost: the number of spans that were dropped or refused.
    """

    def __init__(self, send: Callable[[list[C], float], None]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._queue: _Queue[C] = _Queue()
        self._under_way: dict[object, int] = {}  # attempts, with the bytes of each
        self._backoff = _Backoff()
        self.lost = 0

    def add(self, chunk: C) -> None:
        """Queue spans.

        If the queue is full, the calling thread first sends a batch. If it runs an event loop, or
        if the pause after a failure is not over, the spans are dropped and counted in ``lost``.
        """
        while not self._queue.append(chunk):
            if self._backoff.is_on() or on_event_loop():
                with self._changed:
                    self.lost += chunk.count
                return
            self._send_batch(time.monotonic() + ATTEMPT_TIMEOUT)

    def send_full_batches(self) -> None:
        """Send full batches, until there is none or an attempt fails. A failed batch is kept."""
        while self._queue.has_batch and not self._backoff.is_on():
            self._send_batch(time.monotonic() + ATTEMPT_TIMEOUT)

    def send_queued(self) -> None:
        """Send the spans that are queued by now, or wait for other threads that do it.

        After a failed attempt the others stay in the queue, and so do those for which none has
        begun within :data:`ATTEMPT_TIMEOUT`.
        """
        deadline = time.monotonic() + ATTEMPT_TIMEOUT
        last = self._queue.appended
        while not self._backoff.is_on() and time.monotonic() < deadline:
            if not self._queue.has_any_up_to(last):
                break
            self._send_batch(deadline)
        with self._changed:
            of_others = set(self._under_way)
            self._changed.wait_for(
                lambda: self._under_way.keys().isdisjoint(of_others), deadline - time.monotonic()
            )

    def flush(self, timeout: float) -> None:
        """Send all spans, with retries for ``timeout`` seconds; then drop and count the rest."""
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                if not self._queue.chunks and not self._under_way:
                    return
                now = time.monotonic()
                if now >= deadline:
                    break
                if not self._queue.chunks or self._backoff.is_on():
                    wake = deadline if not self._queue.chunks else self._backoff.until
                    self._changed.wait(max(0.0, min(wake, deadline) - now))
                    continue
            self._send_batch(deadline, deadline)
        dropped = self._queue.clear()
        with self._changed:
            self.lost += dropped
        if dropped:
            logger.warning(
                "%d spans were dropped: Braintrust did not accept them within %g seconds",
                dropped,
                timeout,
            )

    def _send_batch(self, begin_by: float, end_by: float = math.inf) -> None:
        """Send a batch, if one may be sent before ``begin_by`` and no pause has begun meanwhile.

        An attempt has its whole time however long it was waited for: if it were cut off, nothing
        would be sent in the pause that follows, and spans would be lost.
        """
        attempt = object()
        with self._changed:
            if not self._changed.wait_for(self._may_send, max(0.0, begin_by - time.monotonic())):
                return
            if self._backoff.is_on():  # since what was waited for has failed
                return
            batch, size = self._queue.take_batch()
            if not batch:
                return
            self._under_way[attempt] = size
        try:
            self._settle(batch, self._error_of(batch, end_by))
        finally:
            with self._changed:
                del self._under_way[attempt]
                self._changed.notify_all()

    def _may_send(self) -> bool:
        """Return whether one more batch may be sent now. Called with the lock held."""
        size = min(self._queue.bytes, BATCH_BYTES)
        return not self._under_way or sum(self._under_way.values()) + size <= MAX_BYTES_UNDER_WAY

    def _error_of(self, batch: list[C], end_by: float) -> Exception | None:
        """Send a batch; return why that failed, since it must not end the run."""
        try:
            seconds = max(0.05, min(ATTEMPT_TIMEOUT, end_by - time.monotonic()))
            self._send(batch, seconds)
        except Exception as failure:
            return failure
        except BaseException:  # Ctrl-C: the next flush sends them
            with self._changed:
                self._queue.put_back(batch)
            raise
        return None

    def _settle(self, batch: list[C], error: Exception | None) -> None:
        count = sum(chunk.count for chunk in batch)
        if error is None:
            self._backoff.reset()
        elif isinstance(error, CloudError) and error.transient:
            with self._changed:
                self._queue.put_back(batch)
                self._backoff.extend(error.retry_after or 0.0)
            logger.info("%d spans are queued for another attempt: %s", count, error)
        else:
            with self._changed:
                self.lost += count
            logger.warning("%d spans were refused: %s", count, error)


@dataclass
class _Queue(Generic[C]):
    """The chunks that are to be sent, with the number of their spans and bytes. Thread-safe.

    It has a lock of its own: each case adds a chunk, for which that of the exporter is slow.

    Attributes:
        appended: how many chunks were ever appended.
    """

    chunks: deque[C] = field(default_factory=deque)
    spans: int = 0
    bytes: int = 0
    appended: int = 0
    _lock: threading.Lock = field(default_factory=new_lock)

    @property
    def has_batch(self) -> bool:
        return self.spans >= BATCH_SPANS or self.bytes >= BATCH_BYTES

    def has_any_up_to(self, number: int) -> bool:
        """Return whether one of the first ``number`` chunks that were appended is here."""
        with self._lock:
            return bool(self.chunks) and len(self.chunks) > self.appended - number

    def append(self, chunk: C) -> bool:
        """Add a chunk, if it fits; return whether it does. Into an empty queue, any does."""
        with self._lock:
            spans, size = self.spans + chunk.count, self.bytes + chunk.size
            if self.chunks and (spans > MAX_QUEUED_SPANS or size > MAX_QUEUED_BYTES):
                return False
            self.chunks.append(chunk)
            self.spans, self.bytes = spans, size
            self.appended += 1
            return True

    def take_batch(self) -> tuple[list[C], int]:
        """Remove the oldest chunks, up to the limits of a batch, but at least one.

        Return them and the number of their bytes.
        """
        batch: list[C] = []
        spans = size = 0
        with self._lock:
            while self.chunks:
                chunk = self.chunks[0]
                more_spans, more_bytes = spans + chunk.count, size + chunk.size
                if batch and (more_spans > BATCH_SPANS or more_bytes > BATCH_BYTES):
                    break
                spans, size = more_spans, more_bytes
                batch.append(self.chunks.popleft())
            self.spans -= spans
            self.bytes -= size
        return batch, size

    def put_back(self, batch: list[C]) -> None:
        """Add a batch at the front again."""
        with self._lock:
            self.chunks.extendleft(reversed(batch))
            self.spans += sum(chunk.count for chunk in batch)
            self.bytes += sum(chunk.size for chunk in batch)

    def clear(self) -> int:
        """Remove all chunks; return the number of their spans."""
        with self._lock:
            dropped = self.spans
            self.chunks.clear()
            self.spans = self.bytes = 0
        return dropped


@dataclass
class _Backoff:
    """The pause after a failed attempt; each is twice as long as the one before.

    Attributes:
        until: when the pause ends, by ``time.monotonic()``.
    """

    until: float = 0.0
    _pause: float = 0.0

    def is_on(self) -> bool:
        return time.monotonic() < self.until

    def extend(self, at_least: float) -> None:
        """Begin the next pause, of ``at_least`` seconds or more.

        In a pause it goes on: of several attempts that were under way, the failures are one.
        """
        if not self.is_on():
            self._pause = min(MAX_PAUSE, self._pause * 2 or MIN_PAUSE)
        self.until = max(self.until, time.monotonic() + max(self._pause, at_least))

    def reset(self) -> None:
        self._pause = 0.0


def on_event_loop() -> bool:
    """Return whether the calling thread runs an event loop, which must not wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

"""Spans of one run that wait to be sent: in batches, within bounds, again where it may help."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan

from flask_braintrust_evals.errors import CloudError

from .span_copies import LARGEST_SPAN

logger = logging.getLogger("flask_braintrust_evals")

BATCH_SPANS = 500
BATCH_BYTES = LARGEST_SPAN
"""Braintrust refuses requests above about 6 MB."""
MOST_SPANS = 20_000
MOST_BYTES = 32_000_000
"""What may wait while Braintrust takes nothing; what comes on top is lost, and counted."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
"""Seconds between attempts while Braintrust takes nothing; each pause is twice the one before."""
ATTEMPT_TIMEOUT = 10.0
"""Seconds that one attempt may take."""

Send = Callable[[list[ReadableSpan], float], None]


@dataclass
class _Waiting:
    span: ReadableSpan
    size: int


def _on_event_loop() -> bool:
    """Return whether the caller runs on an event loop, where nothing may wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class SpanOutbox:
    """Spans on their way to Braintrust. Thread-safe.

    Args:
        send: sends a batch within so many seconds; raises :class:`CloudError` where it cannot.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._sending = 0
        self._pause = 0.0
        self._not_before = 0.0
        self.lost = 0

    def add(self, span: ReadableSpan, size: int) -> None:
        """Take a span. Where there are too many, whoever adds helps to send them, if that goes."""
        while not self._add(span, size):
            with self._changed:
                stuck = time.monotonic() < self._not_before or _on_event_loop()
                if stuck:
                    self.lost += 1
                    return
                if self._sending and not self._waiting:
                    self._changed.wait(ATTEMPT_TIMEOUT)
                    continue
            self._send_one(time.monotonic() + ATTEMPT_TIMEOUT)

    def _add(self, span: ReadableSpan, size: int) -> bool:
        with self._changed:
            held = len(self._waiting)
            if held and (held >= MOST_SPANS or self._bytes + size > MOST_BYTES):
                return False
            self._waiting.append(_Waiting(span, size))
            self._bytes += size
            return True

    @property
    def is_full(self) -> bool:
        """Whether there is a batch to send, and no pause after a failure."""
        full = len(self._waiting) >= BATCH_SPANS or self._bytes >= BATCH_BYTES
        return full and time.monotonic() >= self._not_before

    def send_full_batches(self) -> None:
        """Send while there are full batches; after a failure that may pass, they wait."""
        while self.is_full:
            self._send_one(time.monotonic() + ATTEMPT_TIMEOUT)

    def flush(self, limit: float) -> None:
        """Send everything, trying again for ``limit`` seconds; what then is left is lost."""
        deadline = time.monotonic() + limit
        while True:
            with self._changed:
                if not self._waiting and not self._sending:
                    return
                now = time.monotonic()
                if now >= deadline:
                    break
                if not self._waiting or now < self._not_before:
                    wake = deadline if not self._waiting else min(self._not_before, deadline)
                    self._changed.wait(max(0.0, wake - now))
                    continue
            self._send_one(deadline)
        with self._changed:
            given_up = [waiting.span for waiting in self._waiting]
            self._waiting.clear()
            self._bytes = 0
            self.lost += len(given_up)
        if given_up:
            logger.warning(
                "%d spans were given up: Braintrust did not take them within %g seconds",
                len(given_up),
                limit,
            )

    def _send_one(self, deadline: float) -> None:
        batch = self._take()
        if not batch:
            return
        error: Exception | None = None
        try:
            seconds = max(0.05, min(ATTEMPT_TIMEOUT, deadline - time.monotonic()))
            self._send([waiting.span for waiting in batch], seconds)
        except Exception as failure:  # spans that cannot be sent must not end the run
            error = failure
        finally:
            with self._changed:
                self._sending -= 1
                self._changed.notify_all()
        if error is None:
            self._pause = 0.0
        elif isinstance(error, CloudError) and error.transient:
            self._put_back(batch, error)
        else:
            with self._changed:
                self.lost += len(batch)
            logger.warning("%d spans were refused: %s", len(batch), error)

    def _take(self) -> list[_Waiting]:
        with self._changed:
            batch: list[_Waiting] = []
            size = 0
            while self._waiting and len(batch) < BATCH_SPANS:
                size += self._waiting[0].size
                if batch and size > BATCH_BYTES:
                    break
                batch.append(self._waiting.popleft())
            self._bytes -= sum(waiting.size for waiting in batch)
            self._sending += bool(batch)
            return batch

    def _put_back(self, batch: list[_Waiting], error: CloudError) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            self._bytes += sum(waiting.size for waiting in batch)
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            pause = max(self._pause, error.retry_after or 0.0)
            self._not_before = time.monotonic() + pause
        logger.info("%d spans wait for another attempt: %s", len(batch), error)

"""Spans of one run that wait to be sent: in batches, within bounds, again where it may help."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from flask_braintrust_evals.errors import CloudError

from .otlp import EncodedSpans
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

Send = Callable[[list[EncodedSpans], float], None]


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
        self._waiting: deque[EncodedSpans] = deque()
        self._spans = 0
        self._bytes = 0
        self._sending = 0
        self._pause = 0.0
        self._not_before = 0.0
        self.lost = 0

    def add(self, spans: EncodedSpans) -> None:
        """Take spans. Where there are too many, whoever adds helps to send them, if that goes."""
        while not self._add(spans):
            with self._changed:
                stuck = time.monotonic() < self._not_before or _on_event_loop()
                if stuck:
                    self.lost += spans.count
                    return
                if self._sending and not self._waiting:
                    self._changed.wait(ATTEMPT_TIMEOUT)
                    continue
            self._send_one(time.monotonic() + ATTEMPT_TIMEOUT)

    def _add(self, spans: EncodedSpans) -> bool:
        with self._changed:
            too_many = self._spans + spans.count > MOST_SPANS
            if self._waiting and (too_many or self._bytes + spans.size > MOST_BYTES):
                return False
            self._waiting.append(spans)
            self._count(spans, 1)
            return True

    def _count(self, spans: EncodedSpans, sign: int) -> None:
        self._spans += sign * spans.count
        self._bytes += sign * spans.size

    @property
    def is_full(self) -> bool:
        """Whether there is a batch to send, and no pause after a failure."""
        full = self._spans >= BATCH_SPANS or self._bytes >= BATCH_BYTES
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
            given_up = self._spans
            self._waiting.clear()
            self._spans = self._bytes = 0
            self.lost += given_up
        if given_up:
            logger.warning(
                "%d spans were given up: Braintrust did not take them within %g seconds",
                given_up,
                limit,
            )

    def _send_one(self, deadline: float) -> None:
        batch = self._take()
        if not batch:
            return
        error: Exception | None = None
        try:
            seconds = max(0.05, min(ATTEMPT_TIMEOUT, deadline - time.monotonic()))
            self._send(batch, seconds)
        except Exception as failure:  # spans that cannot be sent must not end the run
            error = failure
        except BaseException:  # Ctrl-C: whoever flushes next has them
            self._return(batch)
            raise
        finally:
            with self._changed:
                self._sending -= 1
                self._changed.notify_all()
        if error is None:
            self._pause = 0.0
        elif isinstance(error, CloudError) and error.transient:
            self._put_back(batch, error)
        else:
            count = sum(spans.count for spans in batch)
            with self._changed:
                self.lost += count
            logger.warning("%d spans were refused: %s", count, error)

    def _take(self) -> list[EncodedSpans]:
        with self._changed:
            batch: list[EncodedSpans] = []
            count = size = 0
            while self._waiting:
                count += self._waiting[0].count
                size += self._waiting[0].size
                if batch and (count > BATCH_SPANS or size > BATCH_BYTES):
                    break
                spans = self._waiting.popleft()
                self._count(spans, -1)
                batch.append(spans)
            self._sending += bool(batch)
            return batch

    def _return(self, batch: list[EncodedSpans]) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            for spans in batch:
                self._count(spans, 1)

    def _put_back(self, batch: list[EncodedSpans], error: CloudError) -> None:
        self._return(batch)
        with self._changed:
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            pause = max(self._pause, error.retry_after or 0.0)
            self._not_before = time.monotonic() + pause
        count = sum(spans.count for spans in batch)
        logger.info("%d spans wait for another attempt: %s", count, error)

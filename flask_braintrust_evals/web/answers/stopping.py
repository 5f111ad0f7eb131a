"""Ends runs in time when gunicorn stops the worker that serves them.

A worker that is being stopped waits ``graceful_timeout`` seconds for open streams; then gunicorn
kills it. The application is not informed. But each kind of worker has an attribute ``alive``, which
becomes false whatever the reason of the stop: SIGTERM, a reload, or ``max_requests``.

An application cannot ask for its worker either. But methods of the worker call the application, so
the worker is the ``self`` of one of the frames on the stack: :meth:`GracePeriod.of_request` walks
up the stack until it finds that frame.
"""

from __future__ import annotations

import sys
import time
from types import FrameType
from typing import Any

from flask_braintrust_evals.errors import ServerStoppingError

END_SHARE = 0.2
"""Fraction of the grace period that is kept for delivering spans and ending the stream."""
MIN_END_SECONDS = 0.5
"""Minimum seconds that are kept for that."""


class GracePeriod:
    """The time that a run has once its worker is being stopped.

    Args:
        heartbeat: maximum seconds between two calls of :meth:`remaining`.
        worker: gunicorn's worker; ``None``: the server is another, whose stop is not noticed.
    """

    def __init__(self, heartbeat: float, worker: Any) -> None:
        self._heartbeat = heartbeat
        self._worker = worker
        self._ends: float | None = None

    @classmethod
    def of_request(cls, heartbeat: float) -> GracePeriod:
        """Return the grace period of the current request. Must be called while it is served."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if str(frame.f_globals.get("__name__", "")).startswith("gunicorn.workers."):
                worker = frame.f_locals.get("self")
                if isinstance(getattr(worker, "alive", None), bool) and hasattr(worker, "cfg"):
                    return cls(heartbeat, worker)
            frame = frame.f_back
        return cls(heartbeat, None)

    @property
    def end_is_unknown(self) -> bool:
        """Whether the worker is being stopped since nobody knows when.

        A worker of gevent goes on answering requests of connections that are kept open. Whether it
        still listens tells whether the stop began a moment ago. One of gthread, which closes such
        connections, listens until it ends.
        """
        if self._worker is None or self._worker.alive:
            return False
        return not all(_is_open(each) for each in self._worker.sockets)

    @property
    def seconds(self) -> float:
        """Gunicorn's ``graceful_timeout``."""
        return float(self._worker.cfg.graceful_timeout)

    @property
    def time_to_end(self) -> float | None:
        """Seconds for delivering spans at the end; ``None``: the worker is not being stopped."""
        if self._worker is None or self._worker.alive:
            return None
        return max(MIN_END_SECONDS, self.seconds * END_SHARE)

    def remaining(self) -> float | None:
        """Return the seconds after which a run that has not ended must end, which may be over.

        ``None``: the worker is not being stopped.
        """
        time_to_end = self.time_to_end
        if time_to_end is None:
            return None
        now = time.monotonic()
        if self._ends is None:
            # The stop may have begun up to a heartbeat ago.
            self._ends = now + max(0.0, self.seconds - self._heartbeat - time_to_end)
        return self._ends - now

    def until_killed(self) -> float | None:
        """Return the seconds after which gunicorn kills the worker; at least 0.

        ``None``: the worker is not being stopped.
        """
        remaining, time_to_end = self.remaining(), self.time_to_end
        if remaining is None or time_to_end is None:
            return None
        return max(0.0, remaining + time_to_end)

    def reason(self) -> ServerStoppingError:
        """Return the error with which a run is ended."""
        return ServerStoppingError(
            "the server is being stopped or reloaded, and the run could not be finished in its"
            f" grace period of {self.seconds:g} seconds (gunicorn's graceful_timeout); run it again"
        )


def _is_open(listener: Any) -> bool:
    try:
        return bool(listener.fileno() >= 0)
    except AttributeError:  # gunicorn's sockets have no method of a socket any more when closed
        return False

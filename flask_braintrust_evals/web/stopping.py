"""Whether the worker that serves a request is being stopped, and for how long a run may go on.

A stopping worker of gunicorn waits ``graceful_timeout`` seconds for open streams, is then killed,
and nothing tells the application. Each kind of worker has a flag, though, whatever stops it
(SIGTERM, a reload, ``max_requests``), and the worker is found among the callers of the request.
"""

from __future__ import annotations

import sys
import time
from types import FrameType
from typing import Any

from flask_braintrust_evals.errors import ServerStoppingError

SHARE_FOR_THE_END = 0.2
"""What of the grace period is kept for delivering spans and ending the stream."""


class GracePeriod:
    """The time that a run has once its worker is being stopped.

    Args:
        heartbeat: seconds that may pass before the stop is noticed.
        worker: gunicorn's worker; ``None``: the server is another, and never known to stop.
    """

    def __init__(self, heartbeat: float, worker: Any) -> None:
        self._heartbeat = heartbeat
        self._worker = worker
        self._ends: float | None = None

    @classmethod
    def of_request(cls, heartbeat: float) -> GracePeriod:
        """Return that of the request that is being served."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if str(frame.f_globals.get("__name__", "")).startswith("gunicorn.workers."):
                worker = frame.f_locals.get("self")
                if isinstance(getattr(worker, "alive", None), bool) and hasattr(worker, "cfg"):
                    return cls(heartbeat, worker)
            frame = frame.f_back
        return cls(heartbeat, None)

    @property
    def seconds(self) -> float:
        """The grace period as gunicorn's configuration has it."""
        return float(self._worker.cfg.graceful_timeout)

    @property
    def time_to_end(self) -> float | None:
        """Seconds that a run may take for its end; ``None``: the worker is not being stopped."""
        if self._worker is None or self._worker.alive:
            return None
        return max(0.5, self.seconds * SHARE_FOR_THE_END)

    def is_over(self) -> bool:
        """Return whether a run that is still going must end now."""
        left = self.time_to_end
        if left is None:
            return False
        if self._ends is None:
            self._ends = time.monotonic() + max(0.0, self.seconds - self._heartbeat - left)
        return time.monotonic() >= self._ends

    def reason(self) -> ServerStoppingError:
        """Return why a run is ended."""
        return ServerStoppingError(
            "the server is being stopped or reloaded, and the run could not be finished in its"
            f" grace period of {self.seconds:g} seconds (gunicorn's graceful_timeout); run it again"
        )

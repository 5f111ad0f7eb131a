"""Ends the run of a request whose server is being stopped, or whose client takes nothing.

The thread that serves the request cannot do so: it may be waiting for the client. So a timer does.
"""

from __future__ import annotations

import logging

from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.concurrency.timers import Timer, call_later
from flask_braintrust_evals.engine.running.run import RELEASE_AFTER, Run

from .sending import Sending
from .stopping import GracePeriod

logger = logging.getLogger("flask_braintrust_evals")

MIN_INTERVAL = 0.05
"""Minimum seconds between two checks."""


class RunWatch:
    """Checks again and again whether a run must end, until it is stopped.

    Args:
        run: the run.
        evaluator: the evaluator's name, for the log.
        grace: the time that the run has once the server is being stopped.
        interval: maximum seconds between two checks.
    """

    def __init__(self, run: Run, evaluator: str, grace: GracePeriod, interval: float) -> None:
        self._run = run
        self._evaluator = evaluator
        self._grace = grace
        self._interval = interval
        self._sending: Sending | None = None
        self._timer: Timer | None = None
        self._stopped = False

    def start(self, sending: Sending | None = None) -> None:
        """Check from now on.

        Args:
            sending: the way of the stream to the client; ``None``: there is no stream.

        Raises:
            RuntimeError: the system has no more threads.
        """
        self._sending = sending
        self._timer = call_later(self._interval, self._check)

    def stop(self) -> None:
        """Check no more. May be called again."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        if self._stopped:
            return
        # The server first: a run that it gives up has failed, whatever its client does.
        server = self._check_server()
        client = self._check_client()
        if client is None:
            self.stop()
            return
        next_check = min(server, client, self._interval)
        self._timer = call_later(max(next_check, MIN_INTERVAL), self._check)

    def _check_server(self) -> float:
        """Give the run up if its grace period is over; return the seconds to the next check."""
        remaining = self._grace.remaining()
        if remaining is None:
            return self._interval
        if remaining <= 0 and not self._run.state.is_end:
            self._run.give_up(self._grace.reason(), min(RELEASE_AFTER, self._time_to_leave()))
        return remaining if remaining > 0 else self._interval

    def _check_client(self) -> float | None:
        """Cancel the run if its client takes nothing; return the seconds to the next check.

        ``None``: there is nothing left to check.
        """
        sending = self._sending
        if sending is None:
            return self._interval
        if sending.is_abandoned:  # without having been closed
            self._end_run()
            return None
        limit = sending.limit
        if (self._grace.remaining() or 1) <= 0:
            limit = min(limit, self._time_to_leave())
        seconds = sending.seconds
        if seconds < limit:
            return limit - seconds
        self._sending = None
        if not sending.has_begun:
            logger.warning(
                "evaluator %r: the stream was not sent for %.1f s, and its run is ended; the"
                " application, or what is around it, keeps the response",
                self._evaluator,
                seconds,
            )
            self._end_run()
            return None
        logger.warning(
            "evaluator %r: the client has taken nothing of the stream for %.1f s; its connection is"
            " closed (%s)",
            self._evaluator,
            seconds,
            "BRAINTRUST_EVALS_SEND_TIMEOUT" if limit == sending.limit else "the server is stopped",
        )
        sending.cut()
        self._end_run()
        return self._interval

    def _end_run(self) -> None:
        try:
            # In a thread: spans may have to be delivered, for which other timers must not wait.
            start_thread(self._run.close, "eval-release")
        except RuntimeError:  # the system has no more, or the process exits
            self._run.close()

    def _time_to_leave(self) -> float:
        """Seconds, once the grace period is over, after which nothing is waited for any more."""
        return (self._grace.time_to_end or 0.0) / 2

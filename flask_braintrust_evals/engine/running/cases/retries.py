"""Calls a task again that has failed, after a while."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.job import DeadlineError
from flask_braintrust_evals.errors import RunError

T = TypeVar("T")

logger = logging.getLogger("flask_braintrust_evals")

FIRST_PAUSE = 0.5
"""Seconds before the second call, if the error does not ask for others; doubled each time."""
MAX_PAUSE = 30.0
"""Seconds of a pause that grows by itself."""
MAX_ASKED = 300.0
"""Seconds that an error may ask to wait. If it asks for more, the task is not called again."""
PASSING = (408, 409, 425, 429)
"""HTTP statuses from 400 to 499 after which the same request may succeed."""


def call_with_retries(
    call: Callable[[], T],
    retries: int,
    cancellation: Cancellation,
    begin_again: Callable[[], None],
    name: str,
) -> T:
    """Call a function until it succeeds; return what it returns.

    A time-out is not tried again, because what was called may still be going on; nor is an error
    with an HTTP status that says that the same request will fail again.

    Args:
        call: the function.
        retries: how often it may be called again.
        cancellation: ends a pause at once.
        begin_again: called before each further call.
        name: the evaluator's name, for the log.

    Raises:
        Exception: that of the last call.
        RunError: the run was cancelled in a pause.
    """
    for failures in range(retries):
        try:
            return call()
        except DeadlineError:
            raise
        except Exception as error:
            pause = pause_after(error, failures)
            if pause is None or cancellation.is_set():
                raise
            logger.info(
                "evaluator %r: the task failed with %s, and is called again in %.1f s",
                name,
                type(error).__name__,
                pause,
            )
        if cancellation.event.wait(pause):
            raise RunError("the run was cancelled before the task was called again")
        begin_again()
    return call()


def pause_after(error: Exception, failures: int) -> float | None:
    """Return how many seconds to wait before the next call; ``None``: another one is of no use.

    Args:
        error: why the last call failed.
        failures: how many calls had failed before.
    """
    status = _status(error)
    if status is not None and 400 <= status < 500 and status not in PASSING:
        return None
    asked = asked_pause(error)
    if asked is not None:
        return asked if asked <= MAX_ASKED else None
    # Random, so that cases that failed together do not all come again together.
    return min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(failures, 20)) * random.uniform(0.5, 1)


def asked_pause(error: Exception) -> float | None:
    """Return the seconds that an error asks to wait; ``None``: it does not say.

    It may have them as ``retry_after``, or have a ``response`` with headers, as the errors of
    ``requests``, ``httpx`` and ``openai``.
    """
    try:
        own = _seconds(getattr(error, "retry_after", None))
        if own is not None:
            return own
        headers = getattr(getattr(error, "response", None), "headers", None)
        if headers is None:
            return None
        milliseconds = _seconds(headers.get("retry-after-ms"))  # of OpenAI's servers
        if milliseconds is not None:
            return milliseconds / 1000
        return _seconds(headers.get("Retry-After") or headers.get("retry-after"))
    except Exception:  # of an object's own code
        return None


def _status(error: Exception) -> int | None:
    try:
        response = getattr(error, "response", None)
        for owner in (error, response):
            status = getattr(owner, "status_code", None)
            if isinstance(status, int):
                return status
    except Exception:  # of an object's own code
        return None
    return None


def _seconds(value: Any) -> float | None:
    """Return a number of seconds, or those until a date in the form of HTTP; not below 0."""
    if value is None or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        if not isinstance(value, str):
            return None
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        seconds = (date - datetime.now(timezone.utc)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None

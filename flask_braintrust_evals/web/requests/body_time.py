"""Limits the time in which the body of a request has to arrive.

A worker of gunicorn waits for a body as long as it takes, and so would a client that sends one byte
now and then be waited for. Here the connection gets a time-out for each wait, and is shut down for
reading when the time for the whole body is over. This works in the same way for greenlets and for
threads. With other servers than gunicorn, there is no limit.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from werkzeug.exceptions import HTTPException

from flask_braintrust_evals.concurrency.gevent_patch import new_lock, original
from flask_braintrust_evals.concurrency.timers import call_later
from flask_braintrust_evals.errors import BodyTimeoutError, RequestError

IDLE_TIMEOUT = 10.0
"""Seconds that may pass without a byte of the body."""


def read_in_time(
    environ: Mapping[str, Any],
    read: Callable[[], bytes],
    timeout: float,
    idle: float = IDLE_TIMEOUT,
) -> bytes:
    """Return what ``read()`` returns, which reads the body of a request from its connection.

    Args:
        environ: the environment of the request.
        read: reads the body.
        timeout: seconds until it has to be complete.
        idle: seconds that may pass without a byte.

    Raises:
        BodyTimeoutError: the body has not arrived in time. The connection is shut down for reading,
            since what arrives later would be taken for the next request.
        RequestError: the connection broke, or what has arrived is no body of HTTP.
    """
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return read()
    with _idle_timeout(connection, idle), _Deadline(connection, timeout) as deadline:
        try:
            data = read()
        except TimeoutError:
            _stop_reading(connection)
            raise BodyTimeoutError(
                f"no byte of the body has arrived for {idle:g} s; send the request again"
            ) from None
        except HTTPException:
            raise
        except Exception as error:  # each server has exceptions of its own, such as for chunks
            if not deadline.is_over:
                raise RequestError(f"the body cannot be read: {type(error).__name__}") from None
            data = b""
        if deadline.is_over:
            raise BodyTimeoutError(
                f"the body has not arrived within {timeout:g} s (BRAINTRUST_EVALS_BODY_TIMEOUT)"
            )
        return data


@contextmanager
def _idle_timeout(connection: socket.socket, seconds: float) -> Iterator[None]:
    before = connection.gettimeout()
    connection.settimeout(seconds)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it may have been closed
            connection.settimeout(before)


class _Deadline:
    """Shuts a connection down for reading after some seconds, unless it is left before."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._lock = new_lock()
        self._is_left = False
        self.is_over = False

    def __enter__(self) -> _Deadline:
        self._timer = None
        with contextlib.suppress(RuntimeError):  # without a thread for it, there is the other limit
            self._timer = call_later(self._seconds, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._is_left = True

    def _end(self) -> None:
        # Not after the request has gone on: its connection may be another one by then.
        with self._lock:
            if not self._is_left:
                self.is_over = True
                _stop_reading(self._connection)


def _stop_reading(connection: socket.socket) -> None:
    """Have every later call for bytes of the connection find its end; answers can be sent."""
    with contextlib.suppress(OSError):
        # On a copy of the operating system's own kind: TLS would end for both directions.
        copy = original("socket", "socket")(fileno=os.dup(connection.fileno()))
        with copy:
            copy.shutdown(socket.SHUT_RD)

"""Notices a client that takes nothing of what is sent to it, and closes its connection.

A server writes the stream to the client's connection, and waits while the connection is full: for
ever, if the client stays connected and does not read. So the stream is written in small pieces. A
client that has not taken a piece within the limit counts as one that has left.
"""

from __future__ import annotations

import os
import socket
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from werkzeug.wsgi import ClosingIterator

from flask_braintrust_evals.web.requests.connections import connection_of

PIECE = 64 * 1024
"""Bytes that are handed to the server at a time."""


class Sending:
    """The way of a stream to its client.

    Args:
        environ: the WSGI environment of the request.
        limit: seconds that the client may take for one piece.

    Attributes:
        has_begun: whether the server has begun to take the stream.
    """

    def __init__(self, environ: dict[str, Any], limit: float) -> None:
        self.limit = limit
        self._connection = connection_of(environ)
        self._since: float | None = None
        self._body: weakref.ref[ClosingIterator] | None = None
        self.has_begun = False
        self._limit_unanswered()

    def body_of(self, chunks: Iterable[bytes], close: Callable[[], None]) -> ClosingIterator:
        """Return the body of the response, which yields ``chunks`` in pieces.

        Args:
            chunks: the stream.
            close: called when the body is closed.
        """
        self._since = time.monotonic()
        body = ClosingIterator(self.pieces(chunks), close)
        self._body = weakref.ref(body)
        return body

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody has the body any more, who could take the rest of it or close it."""
        return self._body is not None and self._body() is None

    def pieces(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield ``chunks``, the large ones in pieces, and note how long each of them takes."""
        self.has_begun, self._since = True, None
        for chunk in chunks:
            if len(chunk) <= PIECE:
                self._since = time.monotonic()
                yield chunk
                self._since = None
                continue
            for start in range(0, len(chunk), PIECE):
                self._since = time.monotonic()
                yield chunk[start : start + PIECE]
                self._since = None

    @property
    def seconds(self) -> float:
        """How long the client has been taking for a piece, or the server has not begun to take any;
        0: there is none to take."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def cut(self) -> None:
        """Close the connection, so that the server no longer waits for the client.

        With servers that do not tell the connection, nothing happens.
        """
        if self._connection is None:
            return
        with suppress(OSError, ValueError):
            # By another descriptor: what the server's own object does depends on its kind, such as
            # TLS, and it is in use.
            with socket.socket(fileno=os.dup(self._connection.fileno())) as connection:
                connection.shutdown(socket.SHUT_RDWR)

    def _limit_unanswered(self) -> None:
        """Have the system end a connection whose other side does not answer any more.

        A machine that was switched off closes nothing. Without this, Linux tries for a quarter of
        an hour to reach it. The time is twice the limit, since the same option would end the
        connection of a client that does not read, which gunicorn reports as an error of its own.
        """
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if self._connection is not None and option is not None:
            with suppress(OSError, ValueError):
                milliseconds = int(self.limit * 2000)
                self._connection.setsockopt(socket.IPPROTO_TCP, option, milliseconds)

"""The client's connection, where the server tells it."""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from typing import Any

from flask import Request

from flask_braintrust_evals.concurrency.gevent_patch import original

CONNECTION_KEYS = ("gunicorn.socket", "werkzeug.socket")
"""Keys of the WSGI environment under which it may be."""
_CLOSED_BY_CLIENT = (7, 8)
"""TCP_CLOSE and TCP_CLOSE_WAIT of Linux's ``include/net/tcp_states.h``."""


def connection_of(environ: Mapping[str, Any]) -> Any:
    """Return the client's connection; ``None``: the server does not tell it."""
    return next((environ[key] for key in CONNECTION_KEYS if key in environ), None)


def client_has_left(request: Request) -> bool:
    """Return whether the client has disconnected; false if that is not known.

    It is known with gunicorn and Flask's own server. The state of the connection shows it even
    while a part of the request has not been read.
    """
    connection = connection_of(request.environ)
    if connection is None:
        return False
    try:
        if connection.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_INFO"):
            state: bytes = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
            return state[0] in _CLOSED_BY_CLIENT
        return _is_hung_up(connection)
    except (OSError, ValueError):  # it is closed
        return False


def _is_hung_up(connection: Any) -> bool:
    """Return whether the other side of a connection has closed it, such as a Unix socket."""
    if not hasattr(select, "POLLHUP"):
        return False
    poll = original("select", "poll")()
    # Linux always reports POLLHUP; macOS reports nothing if nothing is asked for.
    poll.register(connection.fileno(), select.POLLHUP)
    return any(event & select.POLLHUP for _, event in poll.poll(0))

"""The sockets of processes that ask each other: messages are JSON objects, one in a line."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import socket
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from flask_braintrust_evals.concurrency.gevent_patch import start_thread
from flask_braintrust_evals.errors import EvalsError

from .socket_folder import SUFFIX, connection_to, private_folder, sockets_in


def line_of(value: Mapping[str, Any]) -> bytes:
    """Return a JSON object as a line."""
    return json.dumps(value).encode() + b"\n"


def read_line(connection: socket.socket, limit: int, deadline: float) -> dict[str, Any]:
    """Return the JSON object of the next line.

    Args:
        connection: where it is read from.
        limit: bytes that it may have.
        deadline: until when, on the clock of :func:`time.monotonic`, it has to arrive.

    Raises:
        OSError: it has not arrived in time.
        ValueError: it is too long, or no JSON object.
    """
    data = b""
    while not data.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        received = connection.recv(65_536)
        if not received or len(data) > limit:
            raise ValueError("no line")
        data += received
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


class Listening:
    """A socket that this process listens on, until it ends."""

    def __init__(self, listener: socket.socket, path: Path) -> None:
        self.listener = listener
        self.path = path
        self._process = os.getpid()
        _all_listening.add(self)
        atexit.register(self.remove)

    def remove(self) -> None:
        """Remove the socket from the folder, unless this is a fork of the process."""
        if os.getpid() == self._process:
            with suppress(OSError):
                self.path.unlink()


_all_listening: weakref.WeakSet[Listening] = weakref.WeakSet()


def listen(group: str, serve: Callable[[socket.socket], None]) -> Listening:
    """Listen on a new socket.

    Args:
        group: what the socket's name begins with.
        serve: takes connections, in a thread of its own.

    Raises:
        EvalsError: the folder of sockets cannot be used, or its path is too long.
        OSError: the socket cannot be made there.
        RuntimeError: the system has no more threads.
    """
    folder = private_folder(create=True)
    for other in sockets_in(folder):
        with suppress(OSError):
            if (connection := connection_to(other)) is not None:  # else it was left over
                connection.close()
    path = folder / f"{group}.{secrets.token_hex(4)}{SUFFIX}"
    # Another process would take it for left over, and remove it, before it listens. The name is as
    # long as the final one, which may be too long.
    new = path.with_suffix(".bind")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listener, new)
        listener.listen(64)
        new.rename(path)
        start_thread(partial(serve, listener), "eval-peers")
    except BaseException:
        listener.close()
        for each in (new, path):
            with suppress(OSError):
                each.unlink()
        raise
    return Listening(listener, path)


def _bind(listener: socket.socket, path: Path) -> None:
    try:
        listener.bind(str(path))
    except OSError as error:
        if error.errno is not None:
            raise
        raise EvalsError(
            f"{path} is too long for the address of a socket; set TMPDIR to a shorter path"
        ) from None


def _forget() -> None:
    """Leave the sockets to the parent, in a forked child.

    As long as the child had them, others would wait for answers after the end of the parent.
    """
    for each in list(_all_listening):
        with suppress(OSError):
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, each.listener.fileno(), inheritable=False)
            os.close(null)
    _all_listening.clear()


os.register_at_fork(after_in_child=_forget)

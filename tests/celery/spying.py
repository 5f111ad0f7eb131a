"""A relay in front of a Redis that keeps what passes it, and reads the messages in that."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_BULK = re.compile(rb"\$(\d+)\r\n")


class SpyingRelay:
    """Listens from construction until :meth:`close`.

    Args:
        port: that of the Redis, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._lock = threading.Lock()
        self._passed: list[bytearray] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, name="spying-relay", daemon=True).start()

    def close(self) -> None:
        """Cut all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = [*self._sockets]
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in sockets:
            each.close()

    def passed(self) -> list[bytes]:
        """Return all that has passed, of each connection and direction."""
        with self._lock:
            return [bytes(each) for each in self._passed]

    def values(self) -> list[bytes]:
        """Return the texts of Redis' protocol: names of keys, messages and so on."""
        return [value for stream in self.passed() for value in _bulks(stream)]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                with self._lock:
                    self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pass_on, args=pair, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        kept = bytearray()
        with self._lock:
            self._passed.append(kept)
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    kept += data
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def envelopes(values: list[bytes]) -> list[dict[str, Any]]:
    """Return the messages among values, as Kombu writes them, each with its ``body`` decoded."""
    found = []
    for value in {*values}:
        with suppress(ValueError):
            message = json.loads(value)
            if isinstance(message, dict) and "body" in message:
                body = message["body"]
                with suppress(ValueError):
                    body = json.loads(base64.b64decode(body, validate=True))
                found.append({**message, "body": body})
    return found


def signed_text(body: Any) -> str | None:
    """Return the content of a message of ours, by its body; ``None``: it is another message."""
    if isinstance(body, list) and len(body) == 3 and isinstance(body[0], list):
        body = body[0]  # the arguments of a task
    if not isinstance(body, list) or len(body) != 2 or not isinstance(body[0], str):
        return None
    kind, content = body[0][:1], body[0][1:]
    return zlib.decompress(base64.b64decode(content)).decode() if kind == "z" else content


def texts(value: Any) -> Iterator[str]:
    """Return all texts in a value of JSON, with what is in base64 in them."""
    if isinstance(value, str):
        yield value
        with suppress(ValueError):
            yield base64.b64decode(value, validate=True).decode("latin-1")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def _bulks(stream: bytes) -> Iterator[bytes]:
    position = 0
    while (match := _BULK.search(stream, position)) is not None:
        end = match.end() + int(match[1])
        yield stream[match.end() : end]
        position = end

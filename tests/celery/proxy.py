"""A TCP proxy whose connections can go silent, as those through a firewall do, and be cut off."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Proxy:
    """Forwards a free port of 127.0.0.1 to another one, until :meth:`close`.

    Args:
        target: the port to forward to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self._silent: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self.listen()

    def listen(self) -> None:
        """Accept connections, also after :meth:`close`."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def silence(self) -> int:
        """Forward nothing more on the connections of now, which stay open; return how many."""
        self._silent |= self._open
        return len(self._open) // 2

    def close(self) -> None:
        """End its connections, and refuse others."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in [*self._open]:
            self._drop(each)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, server}
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source not in self._silent:
                    target.sendall(data)
        if source not in self._silent:
            self._drop(source)
            self._drop(target)

    def _drop(self, connection: socket.socket) -> None:
        self._open.discard(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

"""The HTTP edge: sockets, threads and bytes; what is said is decided in `routes`."""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import sys
import traceback
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl

from .answers import Answer, Refusal, error_answer, strict_json
from .faults import Faults
from .journal import Call
from .request import World
from .routes import respond

_JOIN_LIMIT = 5.0


class Server(ThreadingHTTPServer):
    """Serves a world on a free port of the loopback, from construction until `close`."""

    daemon_threads = True
    # The default of 5 turns a burst of connections away.
    request_queue_size = 1024

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self._lock = Lock()
        self._sockets: set[socket.socket] = set()
        self._handlers: set[Thread] = set()
        super().__init__(("127.0.0.1", 0), _Handler)
        world.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._closing = False
        self._loop = Thread(target=self._serve, name=self._thread_name, daemon=True)
        self._loop.start()

    def close(self) -> None:
        """Close the socket, cut the open connections and wait for their threads."""
        self._closing = True
        # `serve_forever` would see it at its next poll, and would poll all the time.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.server_address[1])).close()
        self._loop.join(_JOIN_LIMIT)
        self.server_close()
        with self._lock:
            sockets, threads = list(self._sockets), list(self._handlers)
        for connection in sockets:
            hang_up(connection)
        for thread in threads:
            thread.join(_JOIN_LIMIT)

    def _serve(self) -> None:
        while not self._closing:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self._closing

    @property
    def _thread_name(self) -> str:
        return f"standin-{self.server_address[1]}"

    def server_bind(self) -> None:
        # HTTPServer would ask the resolver for this machine's name, which can take seconds.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name=self._thread_name,
            daemon=True,
        )
        with self._lock:
            self._sockets.add(request)
            self._handlers = {each for each in self._handlers if each.is_alive()}
            # Started under the lock: a thread not yet started does not count as alive.
            thread.start()
            self._handlers.add(thread)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has left."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    do_DELETE = do_OPTIONS = do_PATCH = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        try:
            body, problem = self._read_body(), None
        except Refusal as refusal:
            body, problem = b"", error_answer(refusal.status, refusal.message)
        call = self._call(body)
        journal = self.server.world.journal
        journal.begin(call)
        try:
            self._play(call, problem)
        finally:
            # Threads that wait for a fault to be played are notified even without an answer.
            journal.answered(call, call.status)

    def _play(self, call: Call, answer: Answer | None) -> None:
        faults = self.server.faults
        faults.pass_gates(call)
        fault = faults.pick(call)
        if fault is not None:
            fault.sit_out_delay()
            if fault.close:
                self._hang_up()
                return
            answer = fault.answer or answer
        answer = answer or self._respond(call)
        # Noted before it is sent, so that a test that has the answer finds it in the journal.
        self.server.world.journal.answered(call, answer.status)
        if fault is not None and fault.half:
            self._send_half(answer)
            return
        pieces = [answer.encode()] if fault is None else fault.in_pieces(answer.encode())
        for piece in pieces:
            if not self._send(piece):
                return

    def _respond(self, call: Call) -> Answer:
        try:
            return respond(self.server.world, call)
        except Exception:
            return error_answer(500, f"The stand-in itself failed: {traceback.format_exc()}")

    def _call(self, body: bytes) -> Call:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        scheme, _, token = headers.get("authorization", "").partition(" ")
        try:
            parsed = strict_json(body) if body else None
        except ValueError:
            parsed = None
        return Call(
            method=self.command,
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=headers,
            json=parsed,
            token=token if scheme.lower() == "bearer" and token else None,
            body=body,
            port=self.client_address[1],
        )

    def _read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Refusal(411, "Send a Content-Length")
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            self.close_connection = True
            raise Refusal(400, "Content-Length must be a number")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError("the client left before the end of its body")
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        try:
            if encoding == "gzip":
                return gzip.decompress(body)
            if encoding == "deflate":
                return zlib.decompress(body)
        except (EOFError, OSError, zlib.error) as error:
            raise Refusal(400, f"The body is not {encoding}: {error}") from error
        if encoding != "identity":
            raise Refusal(415, f"Content-Encoding {encoding!r} is not understood")
        return body

    def _send(self, data: bytes) -> bool:
        """Send bytes; return whether the client is still there."""
        try:
            self.wfile.write(data)
            return True
        except OSError:
            self.close_connection = True
            return False

    def _send_half(self, answer: Answer) -> None:
        head = answer.head()
        half = answer.body[: len(answer.body) // 2]
        self._send(head + half if answer.body else head[: len(head) // 2])
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        hang_up(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean; the journal has it all."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no HTTP at all in JSON too."""
        self.close_connection = True
        self._send(error_answer(code, message or explain, {"Connection": "close"}).encode())


def hang_up(connection: socket.socket) -> None:
    """End a connection for both sides, at once."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass

"""Bodies that arrive slowly, or not to their end, from a connection of the operating system."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from flask_braintrust_evals.errors import BodyTimeoutError, RequestError
from flask_braintrust_evals.web.requests.body_time import IDLE_TIMEOUT, read_in_time
from tests.support import happens, in_time

LONG = 60.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def reader(connection: socket.socket, size: int) -> Callable[[], bytes]:
    """Read as gunicorn does: until a number of bytes, or the end."""

    def read() -> bytes:
        data = b""
        while len(data) < size and (more := connection.recv(size - len(data))):
            data += more
        return data

    return read


def receive(
    connection: socket.socket, size: int, timeout: float, idle: float = IDLE_TIMEOUT
) -> bytes:
    environ = {"gunicorn.socket": connection}
    return in_time(lambda: read_in_time(environ, reader(connection, size), timeout, idle))


def test_a_body_that_is_there_is_read_and_the_connection_is_as_before(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    for before in (None, 7.5):
        ours.settimeout(before)
        theirs.sendall(b"body")
        assert receive(ours, 4, LONG) == b"body"
        assert ours.gettimeout() == before
    theirs.sendall(b"next")
    assert ours.recv(4) == b"next"


def test_a_client_that_sends_nothing_more_is_not_waited_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(b"bo")
    with pytest.raises(BodyTimeoutError) as late:
        receive(ours, 4, LONG, idle=0.05)
    assert str(late.value) == ("no byte of the body has arrived for 0.05 s; send the request again")
    assert late.value.status == 408
    # Nobody waits for this client again, and the answer can be sent.
    ours.sendall(b"answer")
    assert theirs.recv(6) == b"answer"
    in_time(lambda: reader(ours, 100)())


def test_a_client_that_sends_a_byte_now_and_then_has_a_limited_time(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.01):
            theirs.sendall(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with pytest.raises(BodyTimeoutError) as late:
            receive(ours, 10**6, 0.2, idle=LONG)
    finally:
        over.set()
        dripping.join()
    assert str(late.value) == (
        "the body has not arrived within 0.2 s (BRAINTRUST_EVALS_BODY_TIMEOUT)"
    )
    assert ours.gettimeout() is None


def test_a_client_that_leaves_ends_the_reading_at_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(b"bo")
    theirs.close()
    assert receive(ours, 4, LONG) == b"bo"


class InvalidChunkSize(Exception):
    """Stands for what a server raises that cannot read the size of a chunk."""


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset by 10.0.0.1"), InvalidChunkSize("ZZ")]
)
def test_a_connection_that_breaks_is_an_error_of_the_request(
    pair: tuple[socket.socket, socket.socket], error: Exception
) -> None:
    ours, _ = pair

    def read() -> bytes:
        raise error

    with pytest.raises(RequestError) as broken:
        read_in_time({"gunicorn.socket": ours}, read, LONG)
    assert str(broken.value) == f"the body cannot be read: {type(error).__name__}"


def test_a_deadline_does_not_touch_what_the_connection_is_used_for_later(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(b"body")
    assert receive(ours, 4, 0.05) == b"body"
    passed = threading.Event()
    threading.Timer(0.15, passed.set).start()
    happens(passed)
    theirs.sendall(b"next")
    assert ours.recv(4) == b"next"


def test_where_the_connection_is_not_known_the_body_is_read_without_limits() -> None:
    began = time.monotonic()
    assert read_in_time({}, lambda: b"body", 0.0, idle=0.0) == b"body"
    assert time.monotonic() - began < LONG

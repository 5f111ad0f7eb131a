"""A client that takes nothing of its stream."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.web.answers import watch
from flask_braintrust_evals.web.answers.sending import PIECE, Sending
from tests.support import PATIENCE, eventually, happens
from tests.web.support import Api, echo, make_app


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        yield server, client


def test_large_chunks_are_sent_in_pieces() -> None:
    chunks = [b"small", b"x" * (2 * PIECE + 1), b"", b"y" * PIECE]
    pieces = list(Sending({}, 60).pieces(chunks))
    assert [len(piece) for piece in pieces] == [5, PIECE, PIECE, 1, 0, PIECE]
    assert b"".join(pieces) == b"".join(chunks)


def test_only_the_time_in_which_a_piece_is_under_way_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("flask_braintrust_evals.web.answers.sending.time.monotonic", lambda: now[0])
    sending = Sending({}, 60)

    def chunks() -> Iterator[bytes]:
        now[0] += 500  # the run is silent
        assert sending.seconds == 0
        yield b"a"
        assert sending.seconds == 0
        yield b"b"

    pieces = sending.pieces(chunks())
    next(pieces)
    now[0] += 7
    assert sending.seconds == 7
    next(pieces)
    assert sending.seconds == 0


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_writer_that_waits_for_the_client_is_released_when_the_connection_is_cut(
    sockets: tuple[socket.socket, socket.socket], key: str
) -> None:
    server, _ = sockets
    sending, failed, full = Sending({key: server}, 60), threading.Event(), threading.Event()

    def write() -> None:
        try:
            while True:
                server.sendall(b"x" * PIECE)
        except OSError:
            failed.set()

    threading.Thread(target=write, daemon=True).start()
    assert not full.wait(0.2)  # the client does not read
    assert not failed.is_set()
    sending.cut()
    happens(failed)
    sending.cut()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a system without the option")
def test_the_system_ends_a_connection_whose_other_side_does_not_answer(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    Sending({"gunicorn.socket": sockets[0]}, 60)
    assert sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000


def test_what_is_no_connection_is_left_alone() -> None:
    left, right = socket.socketpair()  # not TCP: a server may listen on a Unix socket
    with left, right:
        Sending({"gunicorn.socket": left}, 60).cut()
        assert right.recv(1) == b""
    Sending({"gunicorn.socket": left}, 60).cut()  # closed by now


@pytest.mark.slow
def test_a_client_that_takes_nothing_ends_its_run_and_gives_its_slot_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cancelled = threading.Event()

    def task(input: Any, hooks: EvalHooks) -> None:
        happens(hooks.cancel_event)
        cancelled.set()

    app = make_app(
        Evaluator("echo", echo),
        Evaluator("held", task),
        BRAINTRUST_EVALS_AUTH="none",
        BRAINTRUST_EVALS_MAX_RUNS=1,
        BRAINTRUST_EVALS_SEND_TIMEOUT=1,
        BRAINTRUST_EVALS_HEARTBEAT=0.05,
    )
    api = Api(app, None)
    with caplog.at_level(logging.WARNING):
        response = api.post("/eval", json={"name": "held", "data": [{"input": 1}]}, buffered=False)
        chunks = response.iter_encoded()
        next(chunks)
        assert api.eval().status_code == 503
        assert cancelled.wait(PATIENCE)
    assert "evaluator 'held': the client has taken nothing of the stream for 1." in caplog.text
    eventually(lambda: api.eval().status_code == 200)
    response.close()


def test_a_run_of_an_abandoned_stream_ends_also_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start_thread(*_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(watch, "start_thread", start_thread)
    ended = threading.Event()
    run: Any = SimpleNamespace(close=ended.set)
    grace: Any = SimpleNamespace(remaining=lambda: None)
    sending: Any = SimpleNamespace(is_abandoned=True)
    watch.RunWatch(run, "echo", grace, 0).start(sending)
    assert ended.wait(PATIENCE)

"""Processes of a server that ask each other for their runs, and what may be wrong with them."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.runs.peers import peer_sockets, run_peers
from flask_braintrust_evals.runs.peers.run_peers import (
    Answers,
    Application,
    RunPeers,
    ask_everybody,
)
from flask_braintrust_evals.runs.peers.run_table import RunTable
from flask_braintrust_evals.runs.peers.socket_folder import folder_path, private_folder, sockets_in
from tests.support import PATIENCE, python

NAMES = ("app", "/srv/app")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    # Addresses of sockets are short, and pytest's own folders are not; they are made before that.
    place = tempfile.mkdtemp(prefix="ps")
    monkeypatch.setattr(tempfile, "tempdir", place)
    monkeypatch.setattr(run_peers, "ANSWER_TIMEOUT", 0.3)
    path = folder_path()
    assert path is not None
    yield path
    shutil.rmtree(place)


class Process:
    """What is one process of a server; here all of them are this one."""

    def __init__(self, name: str = "app", secret: str | None = None) -> None:
        self.table = RunTable()
        application = Application.of((name, "/srv/app"), secret, Settings())
        self.peers = RunPeers(application, self.table)

    def listing(self) -> tuple[int, int]:
        """How many others have answered, and how many have not."""
        answers = self.peers.ask(lambda _: {"do": "list", "caller": None})
        return len(answers.given), answers.silent


@pytest.fixture
def joined() -> Iterator[Callable[..., Process]]:
    """Makes a process that listens."""
    made: list[Process] = []

    def make(*arguments: Any) -> Process:
        process = Process(*arguments)
        process.peers.join()
        made.append(process)
        return process

    yield make
    for process in made:
        if process.peers._listening is not None:
            process.peers._listening.remove()
            # Whoever waits for connections ends when the socket is gone.
            with suppress(OSError):
                process.peers._listening.listener.shutdown(socket.SHUT_RDWR)
            process.peers._listening.listener.close()


def test_a_process_finds_the_others_of_its_application_and_not_itself(
    joined: Callable[..., Process],
) -> None:
    one, two, three = joined(), joined(), joined("other")
    assert one.listing() == two.listing() == (1, 0)
    assert three.listing() == (0, 0)
    assert Process().listing() == (2, 0)  # which has had no run itself
    everybody = ask_everybody({"do": "list"})
    assert sorted(peer.application for peer, _ in everybody.given) == ["app", "app", "other"]
    assert {peer.process for peer, _ in everybody.given} == {os.getpid()}


def test_applications_differ_by_what_says_who_their_callers_are() -> None:
    def who(request: Any) -> None:
        return None

    settings = [
        Settings(),
        Settings(app_url="https://braintrust.example.com"),
        Settings(auth="none"),
        Settings(auth=who),
        Settings(org_names=("acme",)),
    ]
    applications = [Application.of(NAMES, None, each) for each in settings]
    applications += [
        Application.of(NAMES, "secret", Settings()),
        Application.of(NAMES, b"other", Settings()),
        Application.of(("app", "/srv/other"), None, Settings()),
    ]
    assert len({each.key for each in applications}) == len(applications)
    assert Application.of(NAMES, "a" * 100, Settings()) == Application.of(
        NAMES, b"a" * 100, Settings()
    )
    assert "a" * 20 not in repr(Application.of(NAMES, "a" * 100, Settings()))


def test_joining_again_changes_nothing(folder: Path, joined: Callable[..., Process]) -> None:
    process = joined()
    process.peers.join()
    assert len(sockets_in(folder)) == 1
    assert folder.stat().st_mode & 0o777 == 0o700


def test_another_process_does_not_remove_a_socket_that_is_just_being_made(
    folder: Path, joined: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    bind = peer_sockets._bind

    def bind_while_others_ask(listener: socket.socket, path: Path) -> None:
        bind(listener, path)
        assert ask_everybody({"do": "list"}) == Answers([], 0)

    monkeypatch.setattr(peer_sockets, "_bind", bind_while_others_ask)
    joined()
    assert Process().listing() == (1, 0)
    assert [each.suffix for each in folder.iterdir()] == [".sock"]


def test_a_process_that_could_not_listen_tries_again(
    joined: Callable[..., Process],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(run_peers, "listen", refuse)
        process = joined()
        process.peers.join()
    (message,) = caplog.messages
    assert message.endswith("Too many open files")
    process.peers.join()
    assert Process().listing() == (1, 0)
    assert process.listing() == (0, 0)


def test_the_address_of_a_socket_is_short_enough_for_macos(
    joined: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = joined().peers._listening
    assert listening is not None
    monkeypatch.setattr(tempfile, "tempdir", "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T")
    monkeypatch.setattr(os, "geteuid", lambda: 2_000_000_000)  # of a company's directory
    path = folder_path()
    assert path is not None
    assert len(str(path / listening.path.name)) <= 103


def test_a_place_whose_path_is_too_long_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = folder.parent / ("a" * 100)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    Process().peers.join()
    (message,) = caplog.messages
    assert "is too long for the address of a socket; set TMPDIR to a shorter path" in message
    assert str(place) in message


def test_sockets_of_processes_that_were_killed_are_removed(
    folder: Path, joined: Callable[..., Process]
) -> None:
    dead = joined()
    assert dead.peers._listening is not None
    with suppress(OSError):
        dead.peers._listening.listener.shutdown(socket.SHUT_RDWR)
    dead.peers._listening.listener.close()
    assert len(sockets_in(folder)) == 1
    assert Process().listing() == (0, 0)
    assert sockets_in(folder) == []


def serve(path: Path, answer: Callable[[socket.socket], object]) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def work() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                answer(connection)

    threading.Thread(target=work, daemon=True).start()
    return listener


HELLO = b'{"secret": "00", "application": "app", "process": 1}\n'


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"[]\n",
        b"{}\n",
        b'{"secret": "x", "application": "app", "process": 1}\n',
        b"x" * 5000,
        HELLO,
        HELLO + b"null\n",
        HELLO + b"{}\n",
        HELLO + b'{"runs": 5, "omitted": 0}\n',
        HELLO + b'{"runs": [5], "omitted": 0}\n',
        HELLO + b'{"runs": [{}], "omitted": 0}\n',
        HELLO + b'{"runs": [], "omitted": null}\n',
        HELLO + b'{"state": "cancelled"}\n',
        HELLO + b"\xff\n",
    ],
)
def test_a_process_that_answers_something_else_counts_as_silent(
    sent: bytes, folder: Path, joined: Callable[..., Process]
) -> None:
    good = joined()
    # First in the order of names, so that the good one is asked after it.
    name = sockets_in(folder)[0].name.partition(".")[0]
    with closing(serve(folder / f"{name}.!.sock", lambda each: each.sendall(sent))):
        assert Process().listing() == (1, 1)
    del good


def test_a_process_that_is_stuck_delays_the_others_no_longer_than_the_limit(
    folder: Path, joined: Callable[..., Process]
) -> None:
    good = joined()
    name = sockets_in(folder)[0].name.partition(".")[0]
    stuck = threading.Event()
    with closing(serve(folder / f"{name}.!.sock", lambda _: stuck.wait(PATIENCE))):
        assert Process().listing() == (1, 1)
    stuck.set()
    del good


@pytest.mark.parametrize(
    "request_line",
    [b"", b"\n", b"null\n", b"{}\n", b'{"do": "list", "caller": 5}\n', b"x" * 5000],
)
def test_what_is_no_request_is_not_answered(
    request_line: bytes, folder: Path, joined: Callable[..., Process]
) -> None:
    process = joined()
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(sockets_in(folder)[0]))
        assert connection.recv(4096).startswith(b'{"secret"')
        with suppress(OSError):
            connection.sendall(request_line)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert connection.recv(4096) == b""
    assert Process().listing() == (1, 0)
    del process


def test_a_folder_of_somebody_else_is_not_used(
    folder: Path, caplog: pytest.LogCaptureFixture, joined: Callable[..., Process]
) -> None:
    folder.mkdir(0o755)
    folder.chmod(0o755)
    process = joined()
    assert process.listing() == (0, 0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{folder} is not a folder that this user alone may use" in record.getMessage()
    assert list(folder.iterdir()) == []
    with pytest.raises(EvalsError, match="this user alone"):
        ask_everybody({"do": "list"})
    process.peers.join()
    assert len(caplog.records) == 1


def test_a_link_to_a_folder_is_not_used(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir(0o700)
    folder.symlink_to(other)
    with pytest.raises(EvalsError, match="this user alone"):
        private_folder(create=True)


def test_a_system_without_a_place_for_temporary_files_lists_the_runs_of_each_process_alone(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    joined: Callable[..., Process],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    assert joined().listing() == (0, 0)
    text = "No usable temporary directory found in ['/nowhere']; set TMPDIR to a folder that can be"
    (record,) = caplog.records
    assert text in record.getMessage()
    with pytest.raises(EvalsError, match="set TMPDIR"):
        ask_everybody({"do": "list"})


def test_a_path_that_is_too_long_for_a_socket_is_said(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    joined: Callable[..., Process],
) -> None:
    deep = folder.parent / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert joined().listing() == (0, 0)
    assert "too long" in caplog.text


@pytest.mark.slow
def test_a_fork_leaves_the_socket_to_its_parent(folder: Path) -> None:
    # If it kept it, others would wait for its answer when the parent has been killed.
    script = f"""
        import os, signal, tempfile
        tempfile.tempdir = {str(folder.parent)!r}
        from flask_braintrust_evals.config.settings import Settings
        from flask_braintrust_evals.runs.peers.run_peers import Application, RunPeers, ask_everybody
        from flask_braintrust_evals.runs.peers.run_table import RunTable
        is_ready, ready = os.pipe()
        is_over, over = os.pipe()
        child = os.fork()
        if child == 0:
            RunPeers(Application.of(("app", "/"), None, Settings()), RunTable()).join()
            if os.fork() == 0:
                os.close(over)
                os.write(ready, b"x")
                os.read(is_over, 1)
                os._exit(0)
            os.close(over)
            signal.pause()
        os.read(is_ready, 1)
        before = ask_everybody({{"do": "list"}})
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        after = ask_everybody({{"do": "list"}})
        print(len(before.given), before.silent, len(after.given), after.silent)
    """
    assert python(script) == "1 0 0 0\n"

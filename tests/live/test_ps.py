"""``flask evals ps`` and ``flask evals cancel``, against a gunicorn with two processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flask_braintrust_evals.cli import evals_cli
from flask_braintrust_evals.runs.peers import run_peers
from tests.server import Client, Gunicorn, Stream, cases
from tests.standin import StandIn
from tests.support import eventually

from .conftest import PLAYGROUND, environ

pytestmark = pytest.mark.live

MANY = 60
"""Runs after which both processes have had one: which of them takes a connection is chance."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the server and the command keep their sockets. Addresses of sockets are short."""
    tmp_path_factory.getbasetemp()  # not made where the folder of temporary files is this one
    place = tempfile.mkdtemp(prefix="ps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", place)
        yield Path(place)
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def served(shared_cloud: StandIn, place: Path) -> Iterator[Gunicorn]:
    variables = {**environ(shared_cloud), "TMPDIR": str(place)}
    variables["BRAINTRUST_EVALS_PLAYGROUND"] = "true"
    options = ("--workers", "2", "--access-logfile", "-")
    with Gunicorn(options=options, environ=variables) as server:
        yield server


@pytest.fixture
def server(served: Gunicorn, cloud: StandIn) -> Gunicorn:
    cloud.add_user("token-bob", orgs=("acme",))
    return served


def evals(*arguments: str) -> Result:
    return CliRunner().invoke(evals_cli, arguments)


def listed(*arguments: str) -> dict[str, Any]:
    result = evals("ps", "--json", *arguments)
    assert result.exit_code == 0, result.output
    listing = json.loads(result.stdout)
    assert isinstance(listing, dict)
    return listing


def ids(listing: dict[str, Any]) -> set[str]:
    return {each["id"] for each in listing["runs"]}


def start_in_both(client: Client) -> tuple[list[Stream], list[int]]:
    """Start runs until both processes have one; return their streams, and the processes' ids."""
    streams: list[Stream] = []
    for number in range(MANY):
        streams.append(client.stream("patient", cases(number), parent=PLAYGROUND))
        processes = {each["process"] for each in listed()["runs"]}
        if len(processes) == 2:
            return streams, sorted(processes)
    raise AssertionError(f"one process has taken {MANY} connections")


def endings(streams: list[Stream]) -> list[list[Any]]:
    """The types of the last two events of each stream, and the text of the first of these."""
    with ThreadPoolExecutor(len(streams)) as pool:
        last = list(pool.map(lambda stream: [*stream][-2:], streams))
    return [[first.event, first.json, second.event] for first, second in last]


def test_runs_of_all_processes_are_listed_and_cancelled(
    cloud: StandIn, server: Gunicorn, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ("--url", server.url + "/evals")
    ada, bob = (*at, "--token", "token-ada"), (*at, "--token", "token-bob")
    streams, processes = start_in_both(Client(server.url + "/evals"))
    assert len(listed(*ada)["runs"]) == len(streams)
    # Whichever process answers.
    assert len({frozenset(ids(listed(*ada))) for _ in range(6)}) == 1
    by_process = {each["process"]: each["id"] for each in listed()["runs"]}
    assert sorted(by_process) == processes

    # Nobody else sees or cancels them.
    assert listed(*bob) == {"runs": [], "omitted": 0, "silent_processes": 0}
    refused = evals("cancel", *by_process.values(), *bob)
    assert refused.exit_code == 1
    assert refused.stderr.count("no run of yours that is under way has the id") == 2
    assert evals("ps", *at, "--token", "token-of-nobody").exit_code == 1

    # A process that does not answer is said, and what it has cannot be cancelled meanwhile.
    os.kill(processes[0], signal.SIGSTOP)
    try:
        monkeypatch.setattr(run_peers, "ANSWER_TIMEOUT", 0.3)
        assert listed()["silent_processes"] == 1
        silent = evals("ps")
        assert "1 process did not answer, and may have other runs" in silent.stdout
        stopped = evals("cancel", by_process[processes[0]], *ada)
        assert stopped.exit_code == 1
        assert "status 503" in stopped.stderr
    finally:
        os.kill(processes[0], signal.SIGCONT)
        monkeypatch.undo()

    cancelled = evals("cancel", *ids(listed(*ada)), *ada)
    assert cancelled.exit_code == 0, cancelled.output
    assert len(cancelled.stdout.splitlines()) == len(streams)
    text = "the run was cancelled by its caller; done by then: 0 cases"
    assert endings(streams) == [["error", text, "done"]] * len(streams)
    cloud.wait_for(lambda: len(cloud.spans_named("eval")) == len(streams))
    eventually(lambda: not listed(*ada)["runs"])
    assert "no run of yours is under way" in evals("ps", *ada).stdout

    without_key = evals("ps", "--url", f"{server.url}/evals")
    assert (without_key.exit_code, "set BRAINTRUST_API_KEY; GET" in without_key.stderr) == (1, True)

    # No token is in the log or in what is kept in files, which are sockets.
    assert server.log.count("DELETE /evals/runs/") >= len(streams)
    assert "token-ada" not in server.log
    (folder,) = place.glob("flask-evals-*")
    assert all(each.is_socket() for each in folder.iterdir())


def test_one_of_the_processes_says_where_the_page_is(server: Gunicorn) -> None:
    said = f"evaluators can be tried at {server.url}/evals/playground "
    eventually(lambda: said in server.log)
    assert server.log.count("evaluators can be tried") == 1


def test_who_runs_the_server_sees_and_cancels_the_runs_of_all(
    cloud: StandIn, server: Gunicorn
) -> None:
    ada, bob = Client(server.url + "/evals"), Client(server.url + "/evals", token="token-bob")
    streams = [each.stream("patient", cases(0), parent=PLAYGROUND) for each in (ada, bob)]
    runs = listed()["runs"]
    assert [each["application"] for each in runs] == ["tests.live.app"] * 2
    table = evals("ps").stdout.splitlines()
    assert table[0].split()[:3] == ["id", "evaluator", "organization"]
    assert [line.split()[0] for line in table[1:]] == [each["id"] for each in runs]
    assert evals("cancel", *[each["id"] for each in runs]).exit_code == 0
    text = "the run was cancelled by who runs the server; done by then: 0 cases"
    assert endings(streams) == [["error", text, "done"]] * 2
    again = evals("cancel", "f" * 32)
    assert again.exit_code == 1
    assert "no run with the id" in again.stderr

    # A process that was killed is not waited for.
    stream = ada.stream("patient", cases(1), parent=PLAYGROUND)
    (run,) = eventually(lambda: [each for each in listed()["runs"] if each["state"] == "running"])
    os.kill(run["process"], signal.SIGKILL)
    eventually(lambda: listed() == {"runs": [], "omitted": 0, "silent_processes": 0})
    stream.close()


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["ps", "--url", "nowhere"], 2, "is not an address such as"),
        (["ps", "--url", "https://ada:secret@example.com/"], 2, "neither credentials nor"),
        (["ps", "--url", "http://127.0.0.1:1/evals"], 1, "no answer: "),
        (["ps", "--url", "http://127.0.0.1:1", "--token", "a\nb"], 2, "visible ASCII characters"),
        (["ps", "--org", "acme"], 2, "--org: give --url, too"),
        (["ps", "--timeout", "1"], 2, "--timeout: give --url, too"),
        (["cancel", "abc", "--token", "secret"], 2, "--token: give --url, too"),
        (["cancel"], 2, "Missing argument"),
        (["cancel", "../list", "--url", "http://127.0.0.1:1/evals"], 2, "is not the id of a run"),
        (["cancel", "abc", "--url", "http://127.0.0.1:1/evals"], 1, "abc: no answer: "),
    ],
)
def test_what_cannot_be_asked_is_said(arguments: list[str], status: int, text: str) -> None:
    result = evals(*arguments)
    assert result.exit_code == status
    assert text in " ".join(result.stderr.split())


def test_without_a_server_nothing_is_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert evals("ps").stdout == "no run is under way\n"
    assert list(tmp_path.iterdir()) == []

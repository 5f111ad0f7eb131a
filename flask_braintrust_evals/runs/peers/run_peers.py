"""Lets the processes of a server, which share nothing, list and cancel each other's runs.

A request reaches only one of them. So each that has had a run listens on a socket in a folder that
this user alone can open, and answers one request of a line of JSON with another:

    it says hello      {"secret": ..., "application": ..., "process": ...}
    it is asked        {"do": "list", "caller": ...} or {"do": "cancel", "id": ..., "caller": ...}
    it answers         what :class:`RunTable` returns

``caller`` is a digest, made with the secret, of whoever asks; null stands for all callers. No token
is sent. Whoever can open the socket may ask for all: it is the user that the server itself runs as.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from flask_braintrust_evals.cloud.http.tokens import keyed_digest
from flask_braintrust_evals.concurrency.gevent_patch import new_lock, start_thread
from flask_braintrust_evals.concurrency.job import DeadlineError, Job
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.errors import EvalsError

from .peer_sockets import Listening, line_of, listen, read_line
from .run_table import RunTable
from .socket_folder import connection_to, private_folder, sockets_in

logger = logging.getLogger("flask_braintrust_evals")

ANSWER_TIMEOUT = 2.0
"""Seconds that all processes together have for their answers."""
MAX_REQUEST = 1024
"""Bytes of a request, and of the line by which a process says hello."""
MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer: :data:`MAX_LISTED` runs have less than two million."""
_MORE = 0.5
"""Seconds that threads may take to notice that the time is over."""
OPERATOR = "by who runs the server"
CALLER = "by its caller"


@dataclass(frozen=True)
class Application:
    """An application, by which the processes of a server recognise each other.

    Attributes:
        name: the application's name.
        key: a digest of what all of its processes have in common: its name, settings, secret.
    """

    name: str
    key: bytes = field(repr=False)

    @classmethod
    def of(
        cls, names: tuple[str, str], secret: str | bytes | None, settings: Settings
    ) -> Application:
        """Return what tells an application from others.

        Args:
            names: its import name and its root path.
            secret: its ``SECRET_KEY``, if it has one.
            settings: its settings. Those that say who its callers are must be the same.
        """
        auth: Any = settings.auth
        if not isinstance(auth, str):
            name = getattr(auth, "__qualname__", type(auth).__qualname__)
            auth = f"{getattr(auth, '__module__', '')}.{name}"
        data = secret.encode() if isinstance(secret, str) else secret or b""
        hashed = hashlib.blake2b(data, digest_size=32).digest()
        parts = (*names, settings.app_url, auth, *settings.org_names)
        return cls(names[0], keyed_digest(hashed, *parts))


@dataclass(frozen=True)
class Peer:
    """A process that has said hello.

    Attributes:
        secret: what digests of callers are made with for it.
        application: the name of its application.
        process: its id.
    """

    secret: bytes
    application: str
    process: int


_Answer = tuple[Peer, dict[str, Any]]


@dataclass(frozen=True)
class Answers:
    """The answers of several processes.

    Attributes:
        given: the answers, each with who has given it.
        silent: how many processes have not answered in time.
    """

    given: list[_Answer]
    silent: int


class RunPeers:
    """This process, among those that serve the same application on the same host."""

    def __init__(self, application: Application, table: RunTable) -> None:
        self._application = application
        self._table = table
        self._lock = new_lock()
        self._listening: Listening | None = None
        self._joined_by = 0  # the process that listens, or is about to
        self._warned_by = 0

    def join(self) -> None:
        """Listen from now on. Where that is not possible, it is logged once.

        The next call tries again: it may have been for want of a file descriptor or a thread.
        """
        process = os.getpid()
        if self._joined_by == process:
            return
        with self._lock:
            if self._joined_by == process:
                return
            self._joined_by = process  # before it waits: other greenlets must not want the lock
            self._listening = None
            try:
                self._listening = listen(self._group(), self._answer_all)
            except (EvalsError, OSError, RuntimeError) as error:
                if self._warned_by != process:
                    self._warned_by = process
                    logger.warning(
                        "'flask evals ps' will not know of the runs of process %d: %s",
                        process,
                        error,
                    )
            finally:
                if self._listening is None:
                    self._joined_by = 0

    def ask(self, request_of: Callable[[Peer], Mapping[str, Any]]) -> Answers:
        """Ask each of the other processes what ``request_of`` returns for it."""
        own = None
        if self._listening is not None and self._joined_by == os.getpid():
            own = self._listening.path
        return _ask([each for each in _sockets(self._group()) if each != own], request_of)

    def _group(self) -> str:
        """Return what the names of the sockets of all of these processes begin with.

        They have the same parent, such as gunicorn's master process.
        """
        parent = str(os.getppid()).encode()
        return hashlib.blake2b(parent, key=self._application.key, digest_size=8).hexdigest()

    def _answer_all(self, listener: socket.socket) -> None:
        process = os.getpid()
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                if listener.fileno() < 0 or os.getpid() != process:
                    return
                time.sleep(1)  # the process has no free file descriptor
                continue
            try:
                start_thread(partial(self._answer, connection), "eval-peer")
            except RuntimeError:
                connection.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError, KeyError, TypeError):
            connection.settimeout(ANSWER_TIMEOUT)
            hello = {
                "secret": self._table.secret.hex(),
                "application": self._application.name,
                "process": os.getpid(),
            }
            connection.sendall(line_of(hello))
            request = read_line(connection, MAX_REQUEST, time.monotonic() + ANSWER_TIMEOUT)
            digest = request["caller"]
            caller = None if digest is None else bytes.fromhex(digest)
            answer: Mapping[str, Any]
            if request["do"] == "cancel":
                by = OPERATOR if request.get("operator") else CALLER
                answer = {"state": self._table.cancel(request["id"], caller, by)}
            else:
                answer = self._table.listing(caller)
            connection.sendall(line_of(answer))


def ask_everybody(request: Mapping[str, Any]) -> Answers:
    """Ask all processes of this user on this host, whichever application they serve.

    Raises:
        EvalsError: the folder with their sockets cannot be used.
    """
    paths = sockets_in(private_folder(create=False))
    return _ask(paths, lambda _: {**request, "caller": None, "operator": True})


def _sockets(group: str) -> list[Path]:
    try:
        return sockets_in(private_folder(create=False), group)
    except EvalsError:  # which has been logged by those that would listen in it
        return []


def _ask(paths: list[Path], request_of: Callable[[Peer], Mapping[str, Any]]) -> Answers:
    """Ask processes side by side, so that one that does not answer delays no other."""
    deadline = time.monotonic() + ANSWER_TIMEOUT
    jobs: list[Job[_Answer | None]] = []
    for path in paths:
        job: Job[_Answer | None] = Job()
        work = partial(job.run, partial(_converse, path, request_of, deadline))
        try:
            start_thread(work, "eval-asking")
        except RuntimeError:  # the system has no more threads
            work()
        jobs.append(job)
    given: list[_Answer] = []
    silent = 0
    for job in jobs:
        try:
            answer = job.wait(deadline + _MORE)
        except (DeadlineError, OSError, ValueError, KeyError, TypeError):
            silent += 1
        else:
            given += [] if answer is None else [answer]
    return Answers(given, silent)


def _converse(
    path: Path, request_of: Callable[[Peer], Mapping[str, Any]], deadline: float
) -> _Answer | None:
    """Ask one process; ``None``: it has ended.

    Raises:
        OSError: it does not answer in time.
        ValueError, KeyError, TypeError: it answers something else.
    """
    connection = connection_to(path)
    if connection is None:
        return None
    with connection:
        hello = read_line(connection, MAX_REQUEST, deadline)
        peer = Peer(bytes.fromhex(hello["secret"]), hello["application"], hello["process"])
        request = request_of(peer)
        connection.sendall(line_of(request))
        answer = read_line(connection, MAX_ANSWER, deadline)
    if not _answers(answer, request["do"]):  # its code may be of another version
        raise ValueError("no answer")
    return peer, answer


def _answers(answer: Mapping[str, Any], do: str) -> bool:
    """Return whether an answer has what was asked for."""
    if do == "cancel":
        return isinstance(answer.get("state"), str)
    runs = answer.get("runs")
    are_runs = isinstance(runs, list) and all(isinstance(e, dict) and "started" in e for e in runs)
    return are_runs and isinstance(answer.get("omitted"), int)

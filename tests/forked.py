"""Processes that need no imports: each is forked by one that has imported everything.

Starting a server takes two seconds of processor time, nearly all of it for importing what it uses.
A `Nursery` is a process which has done that, and which forks a server whenever a test wants one.
Only libraries and this package are imported before the fork. The application, and with it the
settings of the test, are read after it, as they are at a start.

How servers start, and how they end, is tested with those that are started by their command line.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
GIVEN_UP = -signal.SIGKILL
"""The status of a process whose nursery ended before it."""


class Forked:
    """A process that a nursery has forked, with what tests use of `subprocess.Popen`.

    Args:
        status: what the nursery writes to: the process's id, and later how it ended.
    """

    def __init__(self, status: int) -> None:
        self._status = status
        self._text = b""
        self.returncode: int | None = None
        while b"\n" not in self._text:
            self._read()
        self.pid = int(self._text.split()[0])

    def poll(self) -> int | None:
        """Return how the process ended, as Popen has it, or None while it runs."""
        while self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended.

        Raises:
            subprocess.TimeoutExpired: it has not, after ``timeout`` seconds.
        """
        while self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            self._read()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read(self) -> None:
        chunk = os.read(self._status, 100)
        self._text += chunk
        ended = self._text.split()[1:]
        if ended or not chunk:
            self.returncode = int(ended[0]) if ended else GIVEN_UP
            os.close(self._status)
        if not chunk and not ended and b"\n" not in self._text:
            raise RuntimeError("the process that forks servers has ended")


class Nursery:
    """A process that has imported ``modules``, after gevent's patch if it is ``patched``.

    Args:
        patched: whether gevent patches before the import.
        modules: what it imports.
        address: of a socket of Linux' abstract namespace: all processes that give the same one
            share the process, which is started by the first and ends with the last of them.
    """

    def __init__(self, patched: bool, modules: Sequence[str], address: str | None = None) -> None:
        self._modules = ["patched" if patched else "unpatched", *modules]
        self._process: subprocess.Popen[bytes] | None = None
        if address is None:
            self._socket, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            self._start(theirs, "is asked")
        else:
            self._socket = self._shared(f"\0{address}")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)

    def _shared(self, address: str) -> socket.socket:
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                connection.connect(address)
                return connection
            except ConnectionRefusedError:
                connection.close()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                listener.bind(address)
            except OSError:  # another process was faster
                listener.close()
                time.sleep(0.01)
            else:
                listener.listen(64)
                self._start(listener, "listens")

    def _start(self, control: socket.socket, how: str) -> None:
        command = [sys.executable, "-m", "tests.forking", str(control.fileno()), how]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BRAINTRUST", "OTEL"))}
        with control:
            self._process = subprocess.Popen(
                [*command, *self._modules],
                cwd=ROOT,
                env=clean,
                stdin=subprocess.DEVNULL,
                pass_fds=(control.fileno(),),
            )

    @property
    def fd(self) -> int:
        """The descriptor by which :mod:`tests.front`, which inherits it, asks for processes."""
        return self._socket.fileno()

    def fork(
        self,
        module: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *fds: int,
        directory: Path | None = None,
        leads: bool = False,
    ) -> Forked:
        """Fork a process that does what ``python -m module`` does, and is killed if this one ends.

        Args:
            module: the module's name; or ``-c``, which has a program as its only argument.
            arguments: of the command line. In those of a module, ``{2}`` and so on stand for the
                descriptors of ``fds``.
            environ: its whole environment.
            fds: where its output goes, and its errors, and then other descriptors that it gets.
            directory: where it is started, and what it imports from, with the ``PYTHONPATH`` of
                ``environ``; this repository if None.
            leads: whether it leads a group of processes of its own.
        """
        status, theirs = os.pipe()
        request = {
            "module": module,
            "arguments": arguments,
            "environ": dict(environ),
            "directory": str(directory or ROOT),
            "path": str(directory) if directory else None,
            "leads": leads,
            "first": 1,
        }
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [theirs, *fds])
        finally:
            os.close(theirs)
        return Forked(status)

    def close(self) -> None:
        """End the process, and those that it has forked, unless others share it."""
        self._socket.close()

    def wait(self) -> None:
        """Wait until the process has ended, which was started here."""
        assert self._process is not None
        self._process.wait(10)


@dataclass(frozen=True)
class _Kind:
    patched: bool
    modules: tuple[str, ...]


_nurseries: dict[_Kind, Nursery] = {}


def nursery(patched: bool, modules: Sequence[str]) -> Nursery:
    """Return the nursery of a kind that the processes of a test run share."""
    kind = _Kind(patched, tuple(modules))
    if kind not in _nurseries:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
        digest = hashlib.sha256(repr(kind).encode()).hexdigest()
        _nurseries[kind] = Nursery(patched, modules, f"tests-{run}-{digest}" if run else None)
        atexit.register(_nurseries[kind].close)
    return _nurseries[kind]

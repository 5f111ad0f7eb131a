"""Groups of processes that tests start, none of which outlives the tests."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.forked import Forked

ROOT = Path(__file__).parent.parent.parent
_started: list[ProcessGroup] = []


class ProcessGroup:
    """A process, and whatever it starts, in a group of their own.

    Args:
        command: what to run.
        log: the file that gets what they write.
        environ: variables beside those of this process, without Braintrust's.
        directory: where to run it.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environ: Mapping[str, str] | None = None,
        directory: Path = ROOT,
    ) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BRAINTRUST")}
        self._log = log
        self._command = [*command]
        self._directory = directory
        with log.open("ab") as output:
            self.process = self._start({**clean, **(environ or {})}, output.fileno())
        _started.append(self)
        _watch("+", self.process.pid)

    def _start(self, environ: Mapping[str, str], output: int) -> subprocess.Popen[bytes] | Forked:
        """Start the process, as the first one of a group."""
        return subprocess.Popen(
            self._command,
            cwd=self._directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        """Everything that the processes have written so far."""
        return self._log.read_text("utf-8", "replace")

    def wait_for(self, is_ready: Callable[[], bool], seconds: float) -> None:
        """Wait until ``is_ready`` returns true; it may also raise an ``OSError`` until then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self._command} ended:\n{self.log}")
            try:
                if is_ready():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"{self._command} is not ready:\n{self.log}")

    def stop(self, seconds: float = 10) -> None:
        """Ask the process to end, and kill the group if it does not, or leaves others behind."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self) -> None:
        """Kill all processes of the group, as a machine that loses its power does."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        if self in _started:
            _started.remove(self)
            _watch("-", self.process.pid)


WATCHER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""
"""A program that kills groups of processes when the one that told it of them ends in any way."""


@functools.cache
def _watcher() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", WATCHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def _watch(sign: str, group: int) -> None:
    pipe = _watcher().stdin
    assert pipe is not None
    pipe.write(f"{sign}{group}\n")
    pipe.flush()


@atexit.register
def _kill_all() -> None:
    for group in [*_started]:
        group.kill()
    if _watcher.cache_info().currsize:
        _watcher().communicate()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_listening(port: int) -> bool:
    """Return whether something listens to a port of 127.0.0.1."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True

"""The official dev server in a subprocess, as its own command line starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

START_UP = 30.0
_RUNNING = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


class DevServer:
    """``braintrust eval --dev`` on a free port of 127.0.0.1; call `wait` before using it."""

    def __init__(self, files: Path, environ: Mapping[str, str]) -> None:
        command = [str(Path(sys.executable).with_name("braintrust")), "eval", "--dev"]
        command += ["--dev-host", "127.0.0.1", "--dev-port", "0", str(files)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BRAINTRUST")}
        self.process = subprocess.Popen(
            command,
            # Away from any .env.braintrust beside or above the checkout.
            cwd=environ["BRAINTRUST_PARAMETERS_CACHE_DIR"],
            env={**clean, **environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.url = ""
        self._lines: list[str] = []
        self._known = Event()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def log(self) -> str:
        """Everything that the server has written so far."""
        return "".join(self._lines)

    def wait(self) -> DevServer:
        """Return once it serves."""
        if not self._known.wait(START_UP) or not self.url:
            self.close()
            raise RuntimeError(f"the official server did not start:\n{self.log}")
        return self

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
            # It picks the port itself, and says which it has only when it listens.
            if match := _RUNNING.search(line):
                self.url = match[1]
                self._known.set()
        self._known.set()

    def close(self) -> None:
        """Stop the server."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> DevServer:
        return self.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            sys.stderr.write(f"--- the official server's log ---\n{self.log}\n")
        self.close()

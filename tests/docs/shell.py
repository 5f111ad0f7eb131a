"""Runs the commands of a page, in a folder that holds the files it shows.

What would install something, or needs a program that only users have, is played by the programs in
``bin``: they check what they are asked for, and install nothing. Others there are what they are
elsewhere, but forked from a process that has imported their libraries.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import requests

from tests.forked import nursery
from tests.front import NURSERY
from tests.server import COMMANDS, LIBRARIES

from .pages import ROOT, Block

BIN = Path(__file__).parent / "bin"
PORT = "8000"
"""The port at which pages serve."""
SERVER = re.compile(r"^(\w+=\S+ )*gunicorn ")
START_UP = 30.0
PLAYED = "https://tools.example.com"
"""Where pages say that the server is."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Shell:
    """One page's terminal, and the server that was started in it last.

    Args:
        folder: where the page begins.
        environ: variables that are set in it.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BRAINTRUST")}
        python = Path(sys.executable).parent
        commands, servers = nursery(False, COMMANDS).fd, nursery(True, LIBRARIES).fd
        self._passed = (commands, servers)
        self._environ = {
            **clean,
            **environ,
            "PATH": os.pathsep.join((str(BIN), str(python), os.environ["PATH"])),
            "PYTHONPATH": str(ROOT),
            "PAGE_PYTHON": sys.executable,
            "PAGE_ROOT": str(ROOT),
            "CURL_HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # pages change files within a second
            # As where this package is installed, and no other that has a plugin.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "flask_braintrust_evals.pytest_plugin",
            NURSERY: f"{commands},gunicorn={servers}",
        }
        self._state = folder / ".state"
        self._state.write_text(f"cd {folder}\n")
        (folder / ".curlrc").write_text("silent\nshow-error\n")
        self._server: subprocess.Popen[bytes] | None = None
        self.port = PORT

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def here(self) -> Path:
        """The folder that the page is in by now."""
        found = re.search(r"^cd (.*)$", self._state.read_text(), re.MULTILINE)
        assert found is not None
        return Path(found[1])

    def write(self, block: Block) -> None:
        """Save a block that is a file."""
        assert block.file is not None
        path = self.here / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")

    def run(self, text: str, variables: Mapping[str, str]) -> tuple[int, str]:
        """Run commands; return the last one's status, and all that they write.

        Args:
            text: the commands; one that starts a server is alone, and left running.
            variables: for these commands alone.
        """
        if SERVER.match(text):
            self._serve(text.strip())
            return 0, ""
        if PLAYED in text and self._server is None:
            self._serve('gunicorn -k gevent "yourapp:create_app()"')
        text = text.replace(f":{PORT}", f":{self.port}")
        text = text.replace(PLAYED, f"http://127.0.0.1:{self.port}")
        done = subprocess.run(
            ["bash", "-c", self._script(text)],
            env={**self._environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            pass_fds=self._passed,
        )
        return done.returncode, self._as_on_the_page(done.stdout)

    def _script(self, text: str) -> str:
        keep = f'{{ echo "cd $PWD"; export -p; }} > {self._state}'
        trap = f"trap 'status=$?; {keep}; exit $status' EXIT"
        return f". {self._state}\nset -eo pipefail\n{trap}\n{text}"

    def _serve(self, command: str) -> None:
        """Start a server as the page does, but at a free port, and wait until it answers."""
        self._stop()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = str(free.getsockname()[1])
        command = re.sub(r"--bind \S+", "", command)
        command = command.replace("gunicorn ", f"exec gunicorn --bind 127.0.0.1:{self.port} ", 1)
        # The variables before the command are its own; exec takes them along by env.
        variables, _, rest = command.partition("exec ")
        self._server = subprocess.Popen(
            ["bash", "-c", f". {self._state}\nexec env {variables} {rest}"],
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=self._passed,
        )
        deadline = time.monotonic() + START_UP
        while True:
            try:
                requests.get(f"http://127.0.0.1:{self.port}/evals/", timeout=5)
                return
            except requests.RequestException:
                assert self._server.poll() is None, f"{command!r} ended"
                assert time.monotonic() < deadline, f"{command!r} does not answer"
                time.sleep(0.05)

    def _stop(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(60)  # gunicorn waits 30 s for a worker that just starts
            self._server = None

    def _as_on_the_page(self, text: str) -> str:
        text = _ANSI.sub("", text).replace(f":{self.port}", f":{PORT}")
        cloud = self._environ.get("BRAINTRUST_APP_URL")
        return text.replace(cloud, "https://www.braintrust.dev") if cloud else text


def prepare_folder(folder: Path) -> None:
    """Put what pages take for granted into a folder."""
    shutil.copytree(Path(__file__).parent / "given", folder, dirs_exist_ok=True)


def matches(expected: str, written: str) -> bool:
    """Whether an output is as the page has it: ``...`` stands for anything, ids for any id."""
    pattern = re.escape(expected.rstrip())
    pattern = pattern.replace(re.escape("..."), ".*?")
    pattern = re.sub(r"\b[0-9a-f]{16}\b", "[0-9a-f]{16}", pattern)
    lines = [line.rstrip() for line in written.rstrip().splitlines()]
    return re.fullmatch(pattern, "\n".join(lines), re.DOTALL) is not None

"""The dev server of the official Python SDK, in its own virtual environment."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from .base import BENCH, HERE, ROOT, Server, ServerError

ENVIRONMENT = BENCH / "python"
INSTALL_TIMEOUT = 600
"""Seconds that one step of the installation may take."""


class OfficialPython(Server):
    key = "python"
    title = "official Python"

    @classmethod
    def prepare(cls) -> dict[str, str]:
        wanted = _requirement()
        mark = ENVIRONMENT / "installed"
        if not mark.exists() or mark.read_text() != wanted:
            sys.stderr.write(f"Installing {wanted} into {ENVIRONMENT.relative_to(ROOT)} ...\n")
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            _do([sys.executable, "-m", "venv", str(ENVIRONMENT)])
            pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            _do([*pip, "--disable-pip-version-check", wanted])
            mark.write_text(wanted)
        names = ("braintrust", "uvicorn", "starlette")
        code = f"from importlib.metadata import version as v; print(*map(v, {names}))"
        versions = _do([str(ENVIRONMENT / "bin" / "python"), "-c", code]).split()
        return dict(zip(names, versions, strict=True))

    def command(self) -> list[str]:
        command = [str(ENVIRONMENT / "bin" / "braintrust"), "eval", "--dev"]
        command += ["--dev-host", "127.0.0.1", "--dev-port", str(self.port)]
        return [*command, str(HERE / "eval_benchmark.py")]


def _requirement() -> str:
    """Return the requirement of the version that the tests compare with."""
    text = (ROOT / "requirements-dev.txt").read_text("utf-8")
    found = re.search(r"^braintrust\[cli\].*$", text, re.MULTILINE)
    assert found is not None
    return found[0]


def _do(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise ServerError(f"{' '.join(command[:4])} failed:\n{done.stderr[-2000:]}")
    return done.stdout

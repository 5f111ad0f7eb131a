"""The dev server of the official JavaScript SDK, which needs Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from .base import BENCH, HERE, ROOT, Server, ServerError

ENVIRONMENT = BENCH / "node"
PACKAGE = ENVIRONMENT / "node_modules" / "braintrust"
INSTALL_TIMEOUT = 600
"""Seconds that the installation may take."""


class OfficialJavaScript(Server):
    key = "javascript"
    title = "official JavaScript"
    unsupported = {"sync": "in JavaScript, whatever waits is asynchronous"}

    @classmethod
    def prepare(cls) -> dict[str, str]:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise ServerError("it needs node and npm, which are not installed")
        if not (PACKAGE / "package.json").exists():
            sys.stderr.write(f"Installing braintrust into {ENVIRONMENT.relative_to(ROOT)} ...\n")
            ENVIRONMENT.mkdir(parents=True, exist_ok=True)
            # Without a package.json, npm would install into a folder above that has one.
            (ENVIRONMENT / "package.json").write_text('{"private": true}\n')
            _do([npm, "install", "--no-audit", "--no-fund", "braintrust"])
        # Node.js finds the package from a file beside it.
        shutil.copy(HERE / "benchmark.eval.js", ENVIRONMENT)
        version = json.loads((PACKAGE / "package.json").read_text("utf-8"))["version"]
        return {"braintrust": version, "node": _do([node, "--version"]).strip().lstrip("v")}

    def command(self) -> list[str]:
        # What `npx braintrust` starts, without npx around it.
        command = ["node", str(PACKAGE / "dist" / "cli.js"), "eval", "--dev"]
        command += ["--dev-host", "127.0.0.1", "--dev-port", str(self.port)]
        return [*command, str(ENVIRONMENT / "benchmark.eval.js")]


def _do(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, cwd=ENVIRONMENT, capture_output=True, text=True, timeout=INSTALL_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise ServerError(f"{' '.join(command[:2])} failed:\n{done.stderr[-2000:]}")
    return done.stdout

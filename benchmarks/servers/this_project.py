"""This project's server: gunicorn with the example application's settings and one worker."""

from __future__ import annotations

import sys
from importlib.metadata import version

from .base import ROOT, Server

PACKAGES = ("flask-braintrust-evals", "flask", "gunicorn", "gevent", "opentelemetry-sdk")


class ThisProject(Server):
    key = "ours"
    title = "ours"
    path = "/evals/eval"
    keeps_listener = True

    @classmethod
    def prepare(cls) -> dict[str, str]:
        return {name: version(name) for name in PACKAGES}

    def command(self) -> list[str]:
        bind = f"fd://{self._listener.fileno()}"
        command = [sys.executable, "-m", "gunicorn", "--bind", bind, "--worker-class", "gevent"]
        command += ["--config", str(ROOT / "example_app" / "gunicorn.conf.py")]
        command += ["--workers", "1", "--graceful-timeout", "5", "--pythonpath", str(ROOT)]
        return [*command, "benchmarks.servers.app:create_app()"]

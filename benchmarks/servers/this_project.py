"""This project's server: gunicorn with the example application's settings."""

from __future__ import annotations

import sys
from importlib.metadata import version

from .base import ROOT, Server

PACKAGES = ("flask-braintrust-evals", "flask", "gunicorn", "gevent", "opentelemetry-sdk")


class ThisProject(Server):
    """Gunicorn with gevent workers.

    Args:
        cloud, cores: see :class:`Server`.
        workers: how many worker processes.
        preload: whether the application is imported before they are started.
    """

    key = "ours"
    title = "ours"
    path = "/evals/eval"
    keeps_listener = True

    def __init__(
        self, cloud: str, cores: set[int], workers: int = 1, preload: bool = False
    ) -> None:
        super().__init__(cloud, cores)
        self._workers = workers
        self._preload = preload

    @classmethod
    def prepare(cls) -> dict[str, str]:
        return {name: version(name) for name in PACKAGES}

    def command(self) -> list[str]:
        bind = f"fd://{self._listener.fileno()}"
        command = [sys.executable, "-m", "gunicorn", "--bind", bind, "--worker-class", "gevent"]
        command += ["--config", str(ROOT / "example_app" / "gunicorn.conf.py")]
        command += ["--workers", str(self._workers), "--graceful-timeout", "5"]
        command += ["--pythonpath", str(ROOT), *(["--preload"] if self._preload else [])]
        return [*command, "benchmarks.servers.app:create_app()"]

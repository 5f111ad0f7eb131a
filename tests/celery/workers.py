"""Workers of Celery as processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from .processes import ProcessGroup

START_UP = 40.0


class CeleryWorker(ProcessGroup):
    """``celery worker``; its group has the processes of its pool, too.

    Args:
        log: the file that gets what it writes.
        app: the module of the Celery application, as of the option ``-A``.
        queue: the queue that it takes from.
        options: of the command, such as ``-P threads``.
        environ: variables beside those of this process.
        name: the name of the worker, which no other has.
    """

    def __init__(
        self,
        log: Path,
        app: str,
        queue: str,
        *options: str,
        environ: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        self.name = f"{name or log.stem}.{queue}@test"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-Q", queue]
        command += ["-n", self.name, "--without-gossip", "--without-mingle", "-l", "INFO"]
        # Later options win.
        command += ["--prefetch-multiplier", "1", *options]
        super().__init__(command, log, environ)

    def wait_until_ready(self) -> None:
        """Wait until it takes tasks."""
        self.wait_for(lambda: "ready." in self.log, START_UP)

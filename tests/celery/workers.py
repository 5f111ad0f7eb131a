"""Workers of Celery as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.forked import Forked, nursery
from tests.server import LIBRARIES

from .processes import ProcessGroup

START_UP = 40.0
CELERY = (
    *("celery.apps.worker", "celery.backends.base", "celery.bin.celery", "celery.events.state"),
    *("celery.concurrency.prefork", "celery.concurrency.solo", "celery.concurrency.thread"),
    *("celery.utils.debug", "celery.worker.components", "celery.worker.consumer"),
    *("kombu.transport.pyamqp", "kombu.transport.redis", "redis.asyncio"),
    *LIBRARIES,
)
"""What a worker has imported when it takes tasks, beside the application."""


class CeleryWorker(ProcessGroup):
    """``celery worker``; its group has the processes of its pool, too.

    Args:
        log: the file that gets what it writes.
        app: the module of the Celery application, as of the option ``-A``.
        queue: the queue that it takes from.
        options: of the command, such as ``-P threads``.
        environ: variables beside those of this process.
        name: the name of the worker, which no other has.
        libraries: what is imported already in the process that it is forked from.
        fresh: start it by its command line, in an interpreter of its own, and fork nothing.
    """

    def __init__(
        self,
        log: Path,
        app: str,
        queue: str,
        *options: str,
        environ: Mapping[str, str] | None = None,
        name: str | None = None,
        libraries: tuple[str, ...] = CELERY,
        fresh: bool = False,
    ) -> None:
        self._libraries = libraries
        self._fresh = fresh
        self.name = f"{name or log.stem}.{queue}@test"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-Q", queue]
        command += ["-n", self.name, "--without-gossip", "--without-mingle", "-l", "INFO"]
        # Later options win.
        command += ["--prefetch-multiplier", "1", *options]
        super().__init__(command, log, environ)

    def _start(self, environ: Mapping[str, str], output: int) -> subprocess.Popen[bytes] | Forked:
        if self._fresh:
            return super()._start(environ, output)
        _, _, module, *arguments = self._command
        forks = nursery(False, self._libraries)
        return forks.fork(module, arguments, environ, output, output, leads=True)

    def wait_until_ready(self) -> None:
        """Wait until it takes tasks."""
        self.wait_for(lambda: "ready." in self.log, START_UP)

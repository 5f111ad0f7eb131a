"""Runs a command again whenever a file changes that it depends on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NoReturn

from flask_braintrust_evals.cli.stored_results.digests import own_files
from flask_braintrust_evals.cli.terminal.interrupts import signal_of
from flask_braintrust_evals.cli.terminal.terminal import echo, styled

INTERVAL = 0.3
"""Seconds between two looks at the files."""
OPTION = "--watch"


def run_again_and_again(files: Iterable[Path], output: IO[str] | None) -> NoReturn:
    """Run this command in a process of its own, and again when a file has changed.

    Watched are the application's own modules, and files that are given.

    Args:
        files: further files.
        output: the standard output of that process; ``None``: that of this one.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    command = _own_command()
    while True:
        before = _state([*own_files(), *files])
        _run(command, output)
        echo(styled("waiting for a change; press Ctrl-C to stop", dim=True), err=True)
        while _state([*own_files(), *files]) == before:
            time.sleep(INTERVAL)


def _run(command: list[str], output: IO[str] | None = None) -> None:
    """Run a command to its end, also after a signal, by which it ends itself and shows its results.

    Raises:
        KeyboardInterrupt: there was a signal, and the command has ended.
    """
    process = subprocess.Popen(command, stdout=output)
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            process.wait()
            break
        except KeyboardInterrupt as error:
            number = signal_of(error)
            # The first Ctrl-C reaches both processes, and SIGTERM perhaps this one alone.
            if interrupted is not None or number == signal.SIGTERM:
                process.send_signal(number)
            interrupted = error
    if interrupted is not None:
        raise interrupted


def _own_command() -> list[str]:
    """Return the command line of this process without the option that watches."""
    arguments = [each for each in sys.orig_argv[1:] if each != OPTION]
    return [sys.executable, *arguments]


def _state(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    found = {}
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue  # it is not there now
        found[file] = (status.st_mtime_ns, status.st_size)
    return found

"""Runs a program in a real thread, without a fork that would run Python's code.

Under gevent, :mod:`subprocess` forks, and the child runs Python until it starts the program: also
what libraries have registered for after a fork, such as threads of their own. ``posix_spawn`` does
not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from signal import SIGKILL

from flask_braintrust_evals.concurrency.gevent_patch import original

MAX_OUTPUT = 1_000_000
"""Bytes of output that are read of a program."""
_POLL_SECONDS = 0.005


def output_of(
    program: str, arguments: Sequence[str], environment: Mapping[str, str], deadline: float
) -> bytes | None:
    """Return what a program writes to its standard output; what else it writes is discarded.

    Call it in a real thread: it blocks.

    Args:
        program: the path of the program.
        arguments: its arguments, without its name.
        environment: its environment variables.
        deadline: when to kill the program, by ``time.monotonic()``.

    Returns:
        the output; ``None``: the program could not be started, has not ended in time, or has
        written too much.
    """
    output, to_write = os.pipe()
    try:
        try:
            child = original("os", "posix_spawn")(
                program,
                [program, *arguments],
                dict(environment),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, to_write, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
            )
        finally:
            os.close(to_write)
        try:
            return _read(output, deadline)
        finally:
            _end(child)
    except OSError:
        return None
    finally:
        os.close(output)


def _read(output: int, deadline: float) -> bytes | None:
    os.set_blocking(output, False)
    content = bytearray()
    while time.monotonic() < deadline and len(content) <= MAX_OUTPUT:
        try:
            chunk = os.read(output, 65536)
        except BlockingIOError:
            original("time", "sleep")(_POLL_SECONDS)
            continue
        if not chunk:
            return bytes(content)
        content += chunk
    return None


def _end(child: int) -> None:
    # It has closed its output, and ends anyway, or it is too late.
    with suppress(OSError):
        os.kill(child, SIGKILL)
    with suppress(ChildProcessError):  # gevent's loop may have waited for it
        original("os", "waitpid")(child, 0)

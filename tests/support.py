"""What tests of all packages share: waiting with a limit, and interpreters of their own."""

from __future__ import annotations

import contextvars
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from flask_braintrust_evals.concurrency.signals import ThreadSignal

from .forked import Forked, nursery
from .server import LIBRARIES

T = TypeVar("T")

TOKEN = "token-of-ada"
"""The token of the user whom the stand-in of the fixture ``cloud`` knows."""
ROOT = Path(__file__).parent.parent
PATIENCE = 30.0
"""Seconds after which something that should happen at once has failed to happen."""


def in_time(function: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Return what ``function`` returns, in the caller's context; a hang fails the test alone."""
    outcome: list[T] = []
    failure: list[BaseException] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            outcome.append(context.run(function))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True, name="in_time")
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"not finished after {seconds} seconds"
    if failure:
        raise failure[0]
    return outcome[0]


def happens(event: threading.Event) -> None:
    """Wait until ``event`` is set."""
    assert event.wait(PATIENCE), "did not happen"


def eventually(condition: Callable[[], T]) -> T:
    """Wait until ``condition()`` is true, by asking again and again; return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.005)
    return value


def cut_short(attempt: Callable[[float], T], began: Callable[[T], bool]) -> T:
    """Make an attempt with a time-out that interrupts it, and return what it returns.

    On a busy machine, what should be interrupted may not have begun by then. So ``attempt`` gets
    the time-out in seconds, and is called again with a longer one until ``began`` returns true.
    """
    for seconds in (0.2, 1.0, 4.0):
        result = attempt(seconds)
        if began(result):
            break
    return result


def waiting_in(function: Callable[..., Any], name: str) -> int:
    """How many threads whose names begin with ``name`` wait in ``function``.

    Once a thread waits, and nobody does what it waits for, it stays where it is.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = [
        [frame.f_code for frame, _ in traceback.walk_stack(innermost)]
        for ident, innermost in sys._current_frames().items()
        if names.get(ident, "").startswith(name)
    ]
    waits = (threading.Condition.wait.__code__, ThreadSignal.wait.__code__)
    return sum(stack[0] in waits and function.__code__ in stack for stack in stacks)


class Counter:
    """Counts up and down, remembers the highest count, and can be waited for."""

    def __init__(self) -> None:
        self.value = 0
        self.peak = 0
        self._changed = threading.Condition()

    def add(self, step: int = 1) -> int:
        with self._changed:
            self.value += step
            self.peak = max(self.peak, self.value)
            self._changed.notify_all()
            return self.value

    def reaches(self, value: int, seconds: float = PATIENCE) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.value >= value, seconds)


PATCHES_FIRST = re.compile(r"\s*(\w+ = \d+\s+)?from gevent import monkey\s+monkey\.patch_all\(\)")


def python(script: str, seconds: float = 30, fresh: bool = False) -> str:
    """Run ``script`` in a process of its own and return what it prints.

    Args:
        script: one that begins with gevent's patch gets a process that has imported this package
            after the patch; any other one, without it.
        seconds: after which it is killed.
        fresh: run it in an interpreter that has imported nothing, since what it imports, or in
            which order, is the subject of the test.
    """
    script = textwrap.dedent(script)
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process: subprocess.Popen[bytes] | Forked
        if fresh:
            command = [sys.executable, "-c", script]
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=errors)
        else:
            patched = PATCHES_FIRST.match(script) is not None
            modules = ("tests.patched",) if patched else LIBRARIES
            fds = (output.fileno(), errors.fileno())
            process = nursery(patched, modules).fork("-c", [script], os.environ, *fds)
        try:
            status = process.wait(seconds)
        finally:
            process.kill()
            process.wait(seconds)
        written = []
        for file in (errors, output):
            file.seek(0)
            written.append(file.read())
    assert status == 0, "".join(written)
    return written[1]

"""The process behind `tests.forked.Nursery`: imports, and forks on request.

It has one thread and, patched or not, waits with what gevent does not replace.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import types
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any

# Bound here, before a patch can replace them.
_select, _fork, _wait, _signal = select.select, os.fork, os.waitpid, signal.signal
_Socket, _receive = socket.socket, socket.recv_fds

LARGEST = 1_000_000
"""Bytes that a request may have."""


@dataclass(frozen=True)
class Task:
    """What a forked process is to do: see `tests.forked.Nursery.fork`."""

    module: str
    arguments: list[str]
    environ: dict[str, str]
    directory: str
    path: str | None
    leads: bool
    first: int
    fds: list[int]


def main(control: int, listens: bool, patched: bool, modules: list[str]) -> Task | None:
    """Import, and fork until nobody asks any more; in a forked process, return its task.

    Args:
        control: the descriptor of the connection by which it is asked; or, if it ``listens``, of
            what accepts such connections.
        patched: whether gevent patches before the import.
        modules: what is imported.
    """
    if patched or "gevent.monkey" in modules:
        _look_for_plugins_once()
    if patched:
        from gevent import monkey

        # The master's children are none of gevent's, as always. Its workers patch the rest.
        monkey.patch_all(os=False, signal=False)
        warnings.filterwarnings("ignore", "Patching more than once")
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is never looked at is never copied
    return _serve(_Socket(fileno=control), listens, patched)


def _look_for_plugins_once() -> None:
    """Remember which plugins are installed: gevent asks some thirty times while it patches."""
    import gevent.events

    library: Any = metadata
    library.entry_points = functools.cache(metadata.entry_points)
    for event in vars(gevent.events).values():
        if name := getattr(event, "ENTRY_POINT_NAME", None):
            metadata.entry_points(group=name)


def _serve(control: Any, listens: bool, patched: bool) -> Task | None:
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    before = _signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    asking = set() if listens else {control}
    while True:
        ready, _, _ = _select([control, *asking, wake, *running.values()], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(running)
        for pid in [pid for pid, status in running.items() if status in ready]:
            os.kill(pid, signal.SIGKILL)  # who asked for it has ended
        if listens and control in ready:
            # What gevent has patched would return a socket of its own.
            asking.add(_Socket(fileno=control._accept()[0]))
        for each in asking.intersection(ready):
            request = _read(each)
            if request is None:
                each.close()
                asking.remove(each)
                continue
            task, status = request
            pid = _fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                _signal(signal.SIGCHLD, before)
                for one in {control, *asking}:
                    one.close()
                for fd in (wake, waker, status, *running.values()):
                    os.close(fd)
                if patched:
                    import gevent

                    gevent.reinit()
                return task
            if task.leads:
                os.setpgid(pid, pid)
            running[pid] = status
            _tell(status, pid)
            for fd in task.fds:
                os.close(fd)
        if not asking:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return None


def _reap(running: dict[int, int]) -> None:
    """Tell how processes ended."""
    while running:
        pid, how = _wait(-1, os.WNOHANG)
        if not pid:
            break
        status = running.pop(pid)
        _tell(status, os.waitstatus_to_exitcode(how))
        os.close(status)


def _tell(status: int, number: int) -> None:
    with suppress(BrokenPipeError):
        os.write(status, b"%d\n" % number)


def _read(control: Any) -> tuple[Task, int] | None:
    message, fds, _, _ = _receive(control, LARGEST, 16)
    return (Task(**json.loads(message), fds=fds[1:]), fds[0]) if message else None


def become(task: Task) -> None:
    """Do what ``python -m module`` does, with the descriptors and the environment of the task."""
    for standard, fd in zip(range(task.first, 3), task.fds, strict=False):
        os.dup2(fd, standard)
        os.close(fd)
    os.chdir(task.directory)
    os.environ.clear()
    os.environ.update(task.environ)
    sys.dont_write_bytecode = bool(task.environ.get("PYTHONDONTWRITEBYTECODE"))
    if task.path is not None:
        sys.path[:1] = [task.path, *filter(None, task.environ.get("PYTHONPATH", "").split(":"))]
    if task.module == "-c":
        sys.argv = ["-c"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(task.arguments[0], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        arguments = [each.format(*task.fds) for each in task.arguments]
        sys.argv = [task.module, *arguments]
        runpy.run_module(task.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    # What is forked leaves every function above before it begins.
    task = main(int(sys.argv[1]), sys.argv[2] == "listens", sys.argv[3] == "patched", sys.argv[4:])
    if task is not None:
        become(task)

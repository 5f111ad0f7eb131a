"""Reads processor time, memory and cores from Linux's ``/proc``."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")


def cores() -> list[int]:
    """Return the cores of the processor that this process may use."""
    return sorted(os.sched_getaffinity(0))


def server_cores(available: list[int]) -> set[int]:
    """Return the core for the server that is measured."""
    return {available[0]}


def client_cores(available: list[int]) -> set[int]:
    """Return the cores for the client and the cloud: all others, if there are any."""
    return set(available[1:]) or set(available)


@contextmanager
def pinned(to: set[int]) -> Iterator[None]:
    """Let this process, and the processes that it starts inside, run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_many_connections() -> None:
    """Raise the limit of open files as far as it goes, here and for processes started later."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def family(root: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                # The name of the process, in brackets, may have any characters.
                fields = (entry / "stat").read_text("latin-1").rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, open_ = [], [root]
    while open_:
        found.append(open_.pop())
        open_ += children.get(found[-1], [])
    return found


def processor_time(root: int) -> float:
    """Return the seconds, user and system, that a process and its descendants have used."""
    return sum(_processor_time(pid) for pid in family(root))


def _processor_time(pid: int) -> float:
    # The clock that clock_getcpuclockid(3) names. It counts what utime and stime of /proc/PID/stat
    # count, threads that have ended included, but in nanoseconds and not in hundredths of a second.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def peak_memory(root: int) -> list[int]:
    """Return the largest memory (VmHWM) of a process and each descendant, in bytes, descending."""
    return sorted((_status(pid, "VmHWM") * 1024 for pid in family(root)), reverse=True)


def held_memory(root: int) -> int:
    """Return the memory (VmRSS) of a process and its descendants together, in bytes."""
    return sum(_status(pid, "VmRSS") * 1024 for pid in family(root))


def shared_memory(root: int) -> int:
    """Return the memory of a process and its descendants, in bytes.

    Pages that several of them share are counted once (Pss of ``smaps_rollup``).
    """
    return sum(_value(pid, "smaps_rollup", "Pss") * 1024 for pid in family(root))


def threads(root: int) -> int:
    """Return the number of threads of a process and its descendants."""
    return sum(_status(pid, "Threads") for pid in family(root))


def open_files(root: int) -> int:
    """Return the number of open files and sockets of a process and its descendants."""
    return sum(len(list((PROC / str(pid) / "fd").iterdir())) for pid in family(root))


def _status(pid: int, name: str) -> int:
    return _value(pid, "status", name)


def _value(pid: int, file: str, name: str) -> int:
    try:
        for line in (PROC / str(pid) / file).read_text("latin-1").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def busy_time(cores: list[int]) -> float:
    """Return the seconds that these cores have been busy, for any process."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = {f"cpu{core}" for core in cores}
    busy = 0
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name in used:
            user, nice, system, _idle, _iowait, irq, soft, steal = map(int, fields[:8])
            busy += user + nice + system + irq + soft + steal
    return busy / ticks


def describe() -> dict[str, object]:
    """Return a description of the machine and of Python, for the results."""
    models = [
        line.partition(":")[2].strip()
        for line in (PROC / "cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(cores()),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
    }

"""Measures what one hostile request does to everybody else: the health check, and an honest user.

    python -m benchmarks.hostile [WORD ...]

Each kind of request (``benchmarks/hostile_kinds.py``) is sent to a server of its own, which serves
a run of an honest user meanwhile. Words choose the kinds whose names contain them. Prints a table.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.request import urlopen

from .cloud import Cloud
from .hostile_kinds import KINDS, LIMIT, MB, Act, Done, Target, many, run
from .machine import (
    client_cores,
    cores,
    describe,
    held_memory,
    pinned,
    processor_time,
    server_cores,
)
from .servers import Server, ThisProject
from .servers.hostile_app import BEAT
from .sink import ORG, TOKEN

PAUSE = 0.02
"""Seconds between two requests for the server's health, and two looks at its memory."""
GOAL = 0.25
"""Seconds that a health check may take meanwhile."""


class HostileServer(ThisProject):
    """This project's server, with the application that is attacked."""

    def command(self) -> list[str]:
        timeout = ["--timeout", str(int(2 * LIMIT))]
        return [*super().command()[:-1], *timeout, "benchmarks.servers.hostile_app:create_app()"]


@dataclass
class Meanwhile:
    """What others had while the request was served.

    Attributes:
        health: seconds of the slowest health check.
        busy: seconds of processor time that the server used during one health check, at most.
        pause: the longest pause in the stream of an honest user, in seconds.
        grown: the largest growth of the server's memory, in bytes.
    """

    health: float = 0.0
    busy: float = 0.0
    pause: float = 0.0
    grown: int = 0


@contextmanager
def watched(server: Server, target: Target) -> Iterator[Meanwhile]:
    """Ask for the server's health, read an honest run, and watch the memory, in threads."""
    found = Meanwhile()
    over = threading.Event()
    before = held_memory(server.pid)
    honest = target.send(run("honest", many(b'{"input":1}', int(2 * LIMIT / BEAT))))
    honest.recv(1 << 16)

    def ask() -> None:
        while not over.wait(PAUSE):
            began, used = time.monotonic(), processor_time(server.pid)
            with suppress(OSError):  # a time-out
                urlopen(f"http://127.0.0.1:{server.port}/evals/", timeout=LIMIT).close()
            found.health = max(found.health, time.monotonic() - began)
            found.busy = max(found.busy, processor_time(server.pid) - used)

    def listen() -> None:
        last = time.monotonic()
        with suppress(OSError):  # a time-out
            while not over.is_set() and honest.recv(1 << 16):
                now = time.monotonic()
                found.pause, last = max(found.pause, now - last), now

    def watch() -> None:
        while not over.wait(PAUSE):
            found.grown = max(found.grown, held_memory(server.pid) - before)

    threads = [threading.Thread(target=each) for each in (ask, listen, watch)]
    for each in threads:
        each.start()
    time.sleep(0.5)
    try:
        yield found
        time.sleep(0.5)
    finally:
        over.set()
        for each in threads:
            each.join()
        honest.close()


def attack(act: Act, cloud: Cloud, on: set[int]) -> tuple[Meanwhile, Done]:
    """Do one kind of hostile request to a server of its own."""
    headers = {"Origin": cloud.url, "x-bt-auth-token": TOKEN, "x-bt-org-name": ORG}
    with HostileServer(cloud.url, on) as server:
        target = Target(server.port, headers)
        with watched(server, target) as found:
            done = act(target)
    return found, done


COLUMNS = (
    ("request", 38),
    ("sent", 9),
    ("answer", 8),
    ("health", 9),
    ("of it busy", 12),
    ("stream", 9),
    ("memory", 9),
    ("x sent", 8),
)


def line(cells: tuple[str, ...]) -> str:
    first, *others = (
        f"{cell:<{width}}" if index == 0 else f"{cell:>{width}}"
        for index, (cell, (_, width)) in enumerate(zip(cells, COLUMNS, strict=True))
    )
    return "".join((first, *others)).rstrip() + "\n"


def row(name: str, found: Meanwhile, done: Done) -> str:
    return line(
        (
            name,
            f"{done.sent / MB:.2f} MB",
            done.status,
            f"{found.health * 1000:.0f} ms",
            f"{found.busy * 1000:.0f} ms",
            f"{found.pause * 1000:.0f} ms",
            f"{found.grown / MB:.0f} MB",
            f"{found.grown / done.sent:.1f}" if done.sent > MB else "",
        )
    )


def main() -> None:
    words = sys.argv[1:]
    kinds = {
        name: act for name, act in KINDS.items() if not words or any(word in name for word in words)
    }
    machine = describe()
    available = cores()
    write = sys.stdout.write
    write(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['system']}, Python {machine['python']}; one gevent worker on a core of its"
        " own\n\n"
    )
    write(line(tuple(name for name, _ in COLUMNS)))
    with pinned(client_cores(available)), Cloud(client_cores(available)) as cloud:
        for name, act in kinds.items():
            write(row(name, *attack(act, cloud, server_cores(available))))
            sys.stdout.flush()
    write(
        "\nhealth: the slowest answer of GET /evals/ meanwhile"
        f" (goal: {GOAL * 1000:g} ms).\n"
        "of it busy: processor time that the server used during one of them, at most.\n"
        f"stream: the longest pause in an honest run, whose cases take {BEAT * 1000:g} ms each.\n"
        "memory: how much the server's grew at most; x sent: as a multiple of what was sent.\n"
    )


if __name__ == "__main__":
    main()

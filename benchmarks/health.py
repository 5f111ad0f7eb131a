"""Asks a server for its health, again and again, from a process of its own.

    python -m benchmarks.health PORT

A thread of the client of many streams would wait for that client more than for the server. Asks
until its standard input ends, and then prints the seconds that each answer took, as JSON.
:func:`asked` starts and ends such a process.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.02
"""Seconds between two requests."""
TIMEOUT = 60.0
REQUEST = b"GET /evals/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def ask(port: int) -> float:
    """Ask once, over a new connection, and return how many seconds the answer took.

    Raises:
        RuntimeError: the server is not well.
    """
    began = time.perf_counter()
    answer = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        connection.sendall(REQUEST)
        while data := connection.recv(65536):
            answer += data
    took = time.perf_counter() - began
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the server's health: {answer[:400]!r}")
    return took


@contextmanager
def asked(port: int) -> Iterator[list[float]]:
    """Ask for a server's health inside of the block, whose list then gets each answer's seconds."""
    taken: list[float] = []
    asking = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.health", str(port)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield taken
    finally:
        try:
            output = asking.communicate(timeout=TIMEOUT)[0]
        finally:
            asking.kill()
    if asking.returncode:
        raise RuntimeError("the server's health could not be asked for")
    taken += json.loads(output)


def main() -> None:
    taken = []
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        taken.append(ask(int(sys.argv[1])))
    sys.stdout.write(json.dumps(taken))


if __name__ == "__main__":
    main()

"""Measures what this server uses under load, and releases again.

    python -m benchmarks.steadiness [PART ...]

The parts are many runs at once, many open streams, thousands of runs in a row, a client that does
not read, and large outputs. Each figure has a goal beside it. Prints a table, and writes
``benchmarks/results/steadiness.json`` if no part is left out.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from .client import drive, read_run, request
from .cloud import Cloud
from .health import asked
from .machine import (
    allow_many_connections,
    client_cores,
    cores,
    describe,
    held_memory,
    open_files,
    pinned,
    server_cores,
    threads,
)
from .scenarios import PLAYGROUND, SPANS_PER_CASE, WAIT, Scenario
from .servers import Server, ThisProject
from .servers.base import ROOT
from .servers.plain_flask import PlainFlask
from .sink import ORG, TOKEN

RESULT = Path(__file__).parent / "results" / "steadiness.json"
LIMIT = 90.0
"""Seconds that one part may take."""
PARTS = ("open_streams", "runs_at_once", "soak", "slow", "large")
MIB = 2**20
KIB = 2**10
UNREAD = 5.0
"""Seconds for which a client does not read."""

Row = dict[str, str]


class Steadiness:
    """Measures one server.

    Args:
        server: the server that is measured.
        cloud: the stand-in for Braintrust that it uses.
        plain: what it is compared with where many requests arrive at once.
    """

    def __init__(self, server: Server, cloud: Cloud, plain: Server) -> None:
        self._server = server
        self._cloud = cloud
        self._plain = plain
        self._headers = {
            "Origin": cloud.url,
            "x-bt-auth-token": TOKEN,
            "x-bt-org-name": ORG,
        }
        self._rows: list[Row] = []

    def measure(self, parts: Iterable[str]) -> list[Row]:
        """Measure the parts of these names, in this order."""
        self._drive(Scenario("empty", 200))
        self._drive(Scenario("async", 100))
        for part in parts:
            sys.stderr.write(f"{part} ...\n")
            getattr(self, part)()
            self._settle()
        return self._rows

    def runs_at_once(self) -> None:
        for task in ("sync", "async"):
            scenario = Scenario(task, 20, runs=500)
            self._cloud.reset()
            with asked(self._server.port) as health:
                timing = self._drive(scenario)
            spans = self._cloud.wait_for(scenario.total * SPANS_PER_CASE, 30).spans
            what = f"500 runs at once of 20 {task} cases of {WAIT * 1000:g} ms"
            lost = scenario.total * SPANS_PER_CASE - spans
            self._row(what, "cases and spans lost", f"0 and {lost}", "0 and 0")
            self._row(what, "health answers, median", _ms(statistics.median(health)), "")
            self._row(what, "health answers, slowest", _ms(max(health)), "50 ms")
            floor = self._floor_of_health(scenario)
            self._row(what, f"the same of {self._plain.title}", _ms(floor), "")
            self._row(what, "all runs", f"{timing.total:.1f} s", "")

    def _floor_of_health(self, scenario: Scenario) -> float:
        """Return the seconds of the slowest answer where the same requests cause no work."""
        sent = request(self._plain.port, self._plain.path, self._headers, scenario.body())
        with asked(self._plain.port) as health:
            drive(self._plain.port, sent, scenario.runs, 0, LIMIT)
        return max(health)

    def open_streams(self) -> None:
        for task in ("hold", "hold-async"):
            what = "1,000 open streams of a task that waits" + (
                ", async" if "async" in task else ""
            )
            before = self._held()
            connections = [self._open(self._body(task, [1])) for _ in range(1000)]
            for each in connections:
                each.recv(1)  # the head: the run has begun
            self._wait(lambda: self._inventory()["greenlets"] >= 2000)  # a worker for each
            grown = self._held() - before
            self._row(what, "memory of each", f"{grown / 1000 / KIB:.0f} KiB", "150 KiB")
            for each in connections:
                each.close()
            self._settle()

    def soak(self) -> None:
        what = "2,000 runs of 20 cases in a row, 20 at a time"
        self._some_runs(200)
        self._settle()
        before = self._state()
        for _ in range(10):
            self._some_runs(200)
        self._settle()
        after = self._state()
        for name, value in before.items():
            if name == "memory":
                grown = (after[name] - value) / MIB
                self._row(what, name, f"{grown:+.1f} MiB", "level")
            else:
                self._row(what, name, f"{value:,} before, {after[name]:,} after", "level")

    def slow(self) -> None:
        what = "100,000 cases of a dataset"
        body = self._body("empty", None)
        body["data"] = {"dataset_id": "rows-100000"}
        self._cloud.reset()
        with self._peak() as peak:
            connection = self._open(body)
            time.sleep(UNREAD)
            pages = self._cloud.received().pages
            time.sleep(UNREAD)
            more = self._cloud.received().pages - pages
            held = peak()
            results = read_run(connection, LIMIT)
        title = (
            f"pages read while the client reads nothing, after {UNREAD:g} s and {2 * UNREAD:g} s"
        )
        self._row(what, title, f"{pages} and {pages + more} of 100", "few, and no more")
        self._row(what, "growth meanwhile", f"{held / MIB:.1f} MiB", "30 MiB")
        self._row(what, "largest growth in all", f"{peak() / MIB:.1f} MiB", "30 MiB")
        self._row(what, "results that arrived", f"{results:,}", "100,000")

    def large(self) -> None:
        what = "50 outputs of 10 MiB, two at a time"
        with self._peak() as peak:
            connection = self._open(self._body("large", [10 * MIB] * 50))
            time.sleep(UNREAD)
            results = read_run(connection, LIMIT)
        self._row(what, "results that arrived", f"{results}", "50")
        self._row(what, "largest growth", f"{peak() / MIB:.0f} MiB", "60 MiB")

    # Helpers of the parts.

    def _some_runs(self, count: int) -> None:
        kinds = ("empty", "async", "failing", "sync")
        for number in range(count // 20):
            kind = kinds[number % len(kinds)]
            results = 0 if kind == "failing" else 20
            drive(self._server.port, self._request(self._body(kind, range(20))), 20, results, LIMIT)

    def _drive(self, scenario: Scenario) -> Any:
        sent = self._request(scenario.body())
        return drive(self._server.port, sent, scenario.runs, scenario.cases, LIMIT)

    def _request(self, body: dict[str, Any]) -> bytes:
        return request(self._server.port, self._server.path, self._headers, body)

    def _body(self, task: str, inputs: Any) -> dict[str, Any]:
        parent = {"object_type": "playground_logs", "object_id": PLAYGROUND}
        data = {"data": [{"input": each, "expected": each} for each in inputs or ()]}
        return {"name": task, "stream": True, "data": data, "parent": parent}

    def _open(self, body: dict[str, Any]) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._server.port), LIMIT)
        connection.sendall(self._request(body))
        return connection

    @contextmanager
    def _peak(self) -> Iterator[Callable[[], int]]:
        """Watch the server's memory; yield a function that returns its largest growth in bytes."""
        before, largest = self._held(), [0]
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                largest[0] = max(largest[0], self._held() - before)

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield lambda: largest[0]
        finally:
            over.set()
            watching.join()

    def _state(self) -> dict[str, int]:
        pid = self._server.pid
        inventory = self._inventory()
        return {
            "threads": threads(pid),
            "greenlets": inventory["greenlets"],
            "open files": open_files(pid),
            "memory": self._held(),
        }

    def _held(self) -> int:
        return held_memory(self._server.pid)

    def _inventory(self) -> dict[str, int]:
        with urlopen(f"http://127.0.0.1:{self._server.port}/inventory", timeout=60) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def _settle(self) -> None:
        """Wait until the greenlets of all runs have ended."""
        self._wait(lambda: self._inventory()["greenlets"] < 60)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.2)

    def _row(self, what: str, measure: str, found: str, goal: str) -> None:
        self._rows.append({"what": what, "measure": measure, "found": found, "goal": goal})


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def table(results: dict[str, Any]) -> str:
    """Return the rows as text, below a line on the machine."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['system']}, Python {machine['python']}; one gevent worker on a core of its own"
    ]
    last = ""
    for row in results["rows"]:
        if row["what"] != last:
            lines += ["", row["what"]]
            last = row["what"]
        goal = f"goal: {row['goal']}" if row["goal"] else ""
        lines.append(f"  {row['measure']:<58} {row['found']:>24}   {goal}".rstrip())
    return "\n".join(lines) + "\n"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parts = arguments.parse_args().parts or PARTS
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"No part {sorted(unknown)}; there are {', '.join(PARTS)}")
    allow_many_connections()
    machine = describe()
    available = cores()
    with (
        pinned(client_cores(available)),
        Cloud(client_cores(available)) as cloud,
        ThisProject(cloud.url, server_cores(available)) as server,
        PlainFlask(cloud.url, server_cores(available)) as plain,
    ):
        rows = Steadiness(server, cloud, plain).measure(parts)
    results = {"machine": machine, "rows": rows}
    sys.stdout.write(f"\n{table(results)}\n")
    if set(parts) == set(PARTS):
        RESULT.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        sys.stdout.write(f"Written to {RESULT.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

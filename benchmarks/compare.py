"""Compares this project's server with the official dev servers, at the same work.

    python -m benchmarks.compare [--quick] [--repeats 3] [--limit 120] [--only empty-1x2000]

All servers have the same client and the same stand-in for Braintrust. Each runs on its own core, if
there are at least two, and is started again for each scenario. Prints a table and writes a file to
``benchmarks/results/``. The official servers are installed into ``.bench/``, which may be deleted
at any time.
"""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from .cloud import Cloud
from .machine import (
    allow_many_connections,
    client_cores,
    cores,
    describe,
    pinned,
    server_cores,
)
from .measuring import Measured, Measuring
from .scenarios import FULL, QUICK, SPANS_PER_CASE, Scenario
from .servers import OfficialJavaScript, OfficialPython, Server, ServerError, ThisProject
from .servers.base import ROOT
from .table import table

RESULTS = Path(__file__).parent / "results"
SERVERS: tuple[type[Server], ...] = (ThisProject, OfficialPython, OfficialJavaScript)
FLOOR_LIMIT = 120


def main() -> None:
    options = _options()
    # SystemExit lets the context managers end the processes that they have started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not Path("/proc/self/stat").exists():
        sys.exit("The benchmark reads /proc and needs Linux.")
    scenarios: tuple[Scenario, ...] = QUICK if options.quick else FULL
    if options.only:
        known = {each.key: each for each in (*FULL, *QUICK)}
        if unknown := set(options.only) - known.keys():
            sys.exit(f"No scenario {sorted(unknown)}; there are {', '.join(known)}")
        scenarios = tuple(known[key] for key in options.only)
    repeats = options.repeats or (1 if options.quick else 3)
    results = compare(scenarios, repeats, options.limit)
    results["quick"] = options.quick
    RESULTS.mkdir(exist_ok=True)
    name = "quick" if options.quick else f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    sys.stdout.write(f"\n{table(results)}\nWritten to {path.relative_to(ROOT)}\n")


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="a small run of under a minute")
    arguments.add_argument("--repeats", type=int, help="rounds of each scenario")
    arguments.add_argument(
        "--limit", type=float, default=120, help="seconds that a scenario may take on a server"
    )
    arguments.add_argument("--only", nargs="*", help="these scenarios alone")
    return arguments.parse_args()


def compare(scenarios: tuple[Scenario, ...], repeats: int, limit: float) -> dict[str, Any]:
    """Measure all scenarios on all servers that are available, and return the results."""
    servers: dict[str, dict[str, Any]] = {}
    usable: list[type[Server]] = []
    for kind in SERVERS:
        try:
            servers[kind.key] = {"title": kind.title, "versions": kind.prepare(), "note": ""}
            usable.append(kind)
        except ServerError as error:
            _say(f"{kind.title} is left out: {error}")
            servers[kind.key] = {"title": kind.title, "versions": {}, "note": str(error)}
    allow_many_connections()
    available = cores()
    if len(available) == 1:
        _say("There is only one core: server, client and cloud share it.")
    machine = describe()  # before the process is pinned: it counts the cores
    floor = _floor(repeats, server_cores(available))
    with pinned(client_cores(available)), Cloud(client_cores(available)) as cloud:
        measuring = Measuring(cloud, available, repeats, limit)
        measured = [
            {
                "key": scenario.key,
                "title": scenario.title,
                "cases": scenario.total,
                "spans": scenario.total * SPANS_PER_CASE,
                "ideal": scenario.ideal,
                "servers": {
                    kind.key: _measure(kind, scenario, cloud, measuring, server_cores(available))
                    for kind in usable
                },
            }
            for scenario in scenarios
        ]
    return {
        "date": f"{datetime.date.today():%Y-%m-%d}",
        "machine": machine,
        "servers": servers,
        "repeats": repeats,
        "floor": floor,
        "scenarios": measured,
    }


def _measure(
    kind: type[Server], scenario: Scenario, cloud: Cloud, measuring: Measuring, cores: set[int]
) -> dict[str, Any]:
    _say(f"{scenario.title}: {kind.title} ...")
    if scenario.task in kind.unsupported:
        return Measured(note=kind.unsupported[scenario.task]).as_json()
    try:
        with kind(cloud.url, cores) as server:
            measuring.warm_up(server)
            return measuring.measure(server, scenario).as_json()
    except ServerError as error:
        return Measured(note=str(error)).as_json()


def _floor(repeats: int, cores: set[int]) -> dict[str, float]:
    rounds = []
    for _ in range(repeats):
        with pinned(cores):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.floor"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=FLOOR_LIMIT,
                check=True,
            )
        rounds.append(json.loads(done.stdout))
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()

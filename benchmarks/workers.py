"""Measures one and two worker processes side by side, and the memory of each further one.

    python -m benchmarks.workers [--rounds 5]

With two workers, the server has two cores, of which the client and the stand-in for Braintrust use
a part, which is printed too. Rounds with one worker and with two take turns, so that other load
affects both alike. The ceiling is what two processes that only compute do together, as a multiple
of one of them alone: on rented machines that may be less than 2. Memory is that of the whole server
after many runs, with pages that processes share counted once.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from .client import drive, request
from .cloud import Cloud
from .machine import (
    allow_many_connections,
    cores,
    describe,
    family,
    pinned,
    processor_time,
    shared_memory,
)
from .scenarios import Scenario
from .servers import Server, ThisProject
from .sink import ORG, TOKEN

GOAL = 1.8
LIMIT = 120.0
"""Seconds that one round may take."""
SCENARIOS = (Scenario("compute", 10, runs=40), Scenario("empty", 100, runs=40))
AT_A_TIME = 8
"""Runs under way."""
COUNTING = """
import time
ends, count = time.monotonic() + 1, 0
while time.monotonic() < ends:
    count += sum(range(10_000)) > 0
print(count)
"""
"""A program that counts how often it computes something in a second."""
COUNTS = (1, 2, 4)
"""The numbers of workers whose memory is compared."""
MIB = 2**20


@dataclass(frozen=True)
class Figures:
    """Of one round.

    Attributes:
        speed: cases per second.
        largest_share: of the processor time of all workers, that of the one that used most.
        other_cores: cores that the client and the stand-in used.
    """

    speed: float
    largest_share: float
    other_cores: float


def run_all(server: Server, scenario: Scenario, cloud: Cloud) -> Figures:
    """Make all runs of a scenario."""
    headers = {"Origin": cloud.url, "x-bt-auth-token": TOKEN, "x-bt-org-name": ORG}
    sent = request(server.port, server.path, headers, scenario.body())
    workers = [pid for pid in family(server.pid) if pid != server.pid]
    before = [processor_time(pid) for pid in workers]
    others = time.process_time() + cloud.received().cpu
    began = time.perf_counter()
    # As users come: whenever one has what they asked for, another one asks. A worker that is busy
    # accepts a new connection later than one that is not.
    with ThreadPoolExecutor(AT_A_TIME) as users:
        for _ in users.map(
            lambda _: drive(server.port, sent, 1, scenario.cases, LIMIT), range(scenario.runs)
        ):
            pass
    total = time.perf_counter() - began
    used = [processor_time(pid) - was for pid, was in zip(workers, before, strict=True)]
    others = time.process_time() + cloud.received().cpu - others
    return Figures(scenario.total / total, max(used) / sum(used), others / total)


def ceiling(available: list[int]) -> float:
    """Return how much two processes that only compute do together, as a multiple of one alone."""

    def counted(cores: list[int]) -> int:
        processes = []
        for core in cores:
            with pinned({core}):
                command = [sys.executable, "-c", COUNTING]
                processes.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        return sum(int(process.communicate(timeout=LIMIT)[0]) for process in processes)

    rounds = [(counted(available[:1]), counted(available)) for _ in range(5)]
    return statistics.median(both / alone for alone, both in rounds)


def speed(cloud: Cloud, available: list[int], rounds: int) -> None:
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ThisProject(cloud.url, set(available), workers=count))
            for count in (1, 2)
        ]
        for scenario in SCENARIOS:
            found: list[list[Figures]] = [[], []]
            for server in servers:
                run_all(server, scenario, cloud)  # each worker logs in, and imports everything
            for _ in range(rounds):
                for figures, server in zip(found, servers, strict=True):
                    figures.append(run_all(server, scenario, cloud))
            one, two = (statistics.median(each.speed for each in figures) for figures in found)
            ratio = statistics.median(b.speed / a.speed for a, b in zip(*found, strict=True))
            share = statistics.median(each.largest_share for each in found[1])
            others = statistics.median(each.other_cores for each in found[1])
            goal = f"   goal: {GOAL} x" if scenario.task == "compute" else ""
            sys.stdout.write(
                f"{scenario.runs} runs of {scenario.cases} cases, {AT_A_TIME} at a time:"
                f" {scenario.what}\n"
                f"  1 worker  {one:8,.0f} cases/s\n"
                f"  2 workers {two:8,.0f} cases/s   {ratio:.2f} x{goal}\n"
                f"  the busier of the two did {share:.0%} of the work; the client and the stand-in"
                f" used {others:.2f} cores\n\n"
            )


def memory(cloud: Cloud, available: list[int]) -> None:
    sys.stdout.write("memory of the server, in MB\n")
    for preload in (False, True):
        held = []
        for count in COUNTS:
            with ThisProject(cloud.url, set(available), workers=count, preload=preload) as server:
                for _ in range(3):  # so that each worker gets some
                    run_all(server, Scenario("empty", 20, runs=40), cloud)
                held.append(shared_memory(server.pid) / MIB)
        further = (held[-1] - held[0]) / (COUNTS[-1] - COUNTS[0])
        each = ", ".join(
            f"{value:.0f} with {count}" for count, value in zip(COUNTS, held, strict=True)
        )
        title = "with --preload" if preload else "without --preload"
        sys.stdout.write(f"  {title:<18} {each}; {further:.0f} for each further worker\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    allow_many_connections()
    machine = describe()
    available = cores()[:2]
    sys.stdout.write(
        f"{machine['cpu']}, two of {machine['cores']} cores, {machine['system']},"
        f" Python {machine['python']}\n\n"
    )
    sys.stdout.write(
        f"ceiling: two processes that only compute reach {ceiling(available):.2f} x\n\n"
    )
    with pinned(set(available)), Cloud(set(available)) as cloud:
        speed(cloud, available, rounds)
        memory(cloud, available)


if __name__ == "__main__":
    main()

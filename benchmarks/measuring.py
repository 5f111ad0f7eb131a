"""One scenario on one server: some rounds, and the medians of what was seen."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from .client import ClientError, Timing, drive, request
from .cloud import Cloud
from .machine import busy_time, peak_memory, processor_time
from .scenarios import SPANS_PER_CASE, Scenario
from .servers import Server
from .sink import ORG, TOKEN

WARM_UP = 60.0
"""Seconds that one run may take before anything is measured."""
DELIVERY = 20.0
"""Seconds that a server may still take to deliver spans after its streams have ended."""


@dataclass(frozen=True)
class Round:
    """What was seen once. Times are in seconds.

    Attributes:
        total: from the first request to the end of the last stream.
        first: until a run's first result, in the middle of all runs.
        last_first: the same in the run that waited longest for it.
        cases_per_second: of all runs together.
        cpu_per_case: processor time of the server and its children, delivering spans included.
        spans: that reached the cloud.
        span_bytes_per_case: of the requests by which they did.
        client_share: how much of a core the client and the cloud used meanwhile.
        foreign_share: how much of a core all other processes used meanwhile.
    """

    total: float
    first: float
    last_first: float
    cases_per_second: float
    cpu_per_case: float
    spans: int
    span_bytes_per_case: float
    client_share: float
    foreign_share: float


@dataclass
class Measured:
    """All rounds, or why there are none."""

    rounds: list[Round] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    """Bytes that each of the server's processes held at most."""
    note: str = ""

    def median(self, name: str) -> float:
        return float(statistics.median(getattr(each, name) for each in self.rounds))

    def as_json(self) -> dict[str, Any]:
        medians = {name: self.median(name) for name in Round.__annotations__} if self.rounds else {}
        return {
            **medians,
            "peak_memory": sum(self.memory),
            "peak_memory_by_process": self.memory,
            "note": self.note,
            "rounds": [asdict(each) for each in self.rounds],
        }


class Measuring:
    """Measures with one client process and one cloud.

    Args:
        cloud: that the servers work with.
        cores: all that servers, client and cloud use.
        repeats: rounds of each scenario.
        limit: seconds that the rounds of a scenario may take on a server; one that takes longer is
            given up, and where another round would not fit, there is none.
    """

    def __init__(self, cloud: Cloud, cores: list[int], repeats: int, limit: float) -> None:
        self._cloud = cloud
        self._cores = cores
        self._repeats = repeats
        self._limit = limit

    def warm_up(self, server: Server) -> None:
        """Have the server log in, import what it imports late, and run all that it has."""
        for task in ("empty", "sync", "async"):
            if task not in server.unsupported:
                # Enough for a compiler that works while it runs to have begun.
                self._drive(server, Scenario(task, 200 if task == "empty" else 3), WARM_UP)
        self._cloud.wait_for(1, DELIVERY)

    def measure(self, server: Server, scenario: Scenario) -> Measured:
        measured = Measured()
        if scenario.task in server.unsupported:
            measured.note = server.unsupported[scenario.task]
            return measured
        began = time.monotonic()
        longest = 0.0
        for _ in range(self._repeats):
            left = self._limit - (time.monotonic() - began)
            if left < longest:
                measured.note = f"{len(measured.rounds)} of {self._repeats} rounds, for time"
                break
            try:
                measured.rounds.append(self._round(server, scenario, left))
            except TimeoutError:
                measured.note = f"> {self._limit:g} s"
                if measured.rounds:
                    measured.note = f"{len(measured.rounds)} of {self._repeats} rounds, for time"
                break
            except ClientError as error:
                measured.note = f"failed: {error}"
                break
            longest = max(longest, measured.rounds[-1].total)
        measured.memory = peak_memory(server.pid)
        return measured

    def _round(self, server: Server, scenario: Scenario, limit: float) -> Round:
        self._cloud.reset()
        time.sleep(0.2)  # whatever the round before left behind
        cloud = self._cloud.reset()
        client, everybody, own = (
            time.process_time(),
            busy_time(self._cores),
            processor_time(server.pid),
        )
        timing = self._drive(server, scenario, limit)
        client = time.process_time() - client
        # Before the counting of spans, which is no part of anybody's work.
        during = processor_time(server.pid) - own
        everybody = busy_time(self._cores) - everybody
        received = self._cloud.wait_for(scenario.total * SPANS_PER_CASE, DELIVERY)
        cloud_cpu = received.cpu - cloud.cpu
        used = processor_time(server.pid) - own
        return Round(
            total=timing.total,
            first=timing.first,
            last_first=timing.last_first,
            cases_per_second=scenario.total / timing.total,
            cpu_per_case=used / scenario.total,
            spans=received.spans,
            span_bytes_per_case=received.bytes / scenario.total,
            client_share=(client + cloud_cpu) / timing.total,
            foreign_share=max(0.0, everybody - client - cloud_cpu - during) / timing.total,
        )

    def _drive(self, server: Server, scenario: Scenario, limit: float) -> Timing:
        headers = {"Origin": self._cloud.url, "x-bt-auth-token": TOKEN, "x-bt-org-name": ORG}
        sent = request(server.port, server.path, headers, scenario.body())
        return drive(server.port, sent, scenario.runs, scenario.cases, limit)

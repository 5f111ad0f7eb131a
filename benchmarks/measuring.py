"""Measures one scenario on one server, in several rounds, and takes the medians."""

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
"""Seconds that one of the runs may take that are made before anything is measured."""
DELIVERY = 20.0
"""Seconds that a server may still take to deliver spans after its streams have ended."""


@dataclass(frozen=True)
class Round:
    """The figures of one round. Times are in seconds.

    Attributes:
        total: from the first request to the end of the last stream.
        first: until a run's first result; the median of all runs.
        last_first: until a run's first result; the maximum of all runs.
        cases_per_second: of all runs together.
        cpu_per_case: processor time of the server and its children, delivering spans included.
        spans: the number of spans that reached the cloud.
        span_bytes_per_case: the size of the requests with these spans.
        client_share: the share of a core that the client and the cloud used meanwhile.
        foreign_share: the share of a core that all other processes used meanwhile.
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
    """The figures of all rounds, and a note on why rounds are missing."""

    rounds: list[Round] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    """The largest memory of each of the server's processes, in bytes."""
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
        cloud: the stand-in for Braintrust that the servers use.
        cores: the cores that servers, client and cloud use.
        repeats: the number of rounds of each scenario.
        limit: seconds that all rounds of a scenario may take on a server. A round that takes longer
            is given up, and a round for which no time is left is not begun.
    """

    def __init__(self, cloud: Cloud, cores: list[int], repeats: int, limit: float) -> None:
        self._cloud = cloud
        self._cores = cores
        self._repeats = repeats
        self._limit = limit

    def warm_up(self, server: Server) -> None:
        """Make a run of each task, so that the server logs in and imports everything."""
        for task in ("empty", "sync", "async"):
            if task not in server.unsupported:
                # Enough cases for a just-in-time compiler to start.
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
        time.sleep(0.2)  # for late requests of the round before
        cloud = self._cloud.reset()
        client, all_processes, own = (
            time.process_time(),
            busy_time(self._cores),
            processor_time(server.pid),
        )
        timing = self._drive(server, scenario, limit)
        client = time.process_time() - client
        # Read before the spans are counted, which is not a part of the work.
        during = processor_time(server.pid) - own
        all_processes = busy_time(self._cores) - all_processes
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
            foreign_share=max(0.0, all_processes - client - cloud_cpu - during) / timing.total,
        )

    def _drive(self, server: Server, scenario: Scenario, limit: float) -> Timing:
        headers = {"Origin": self._cloud.url, "x-bt-auth-token": TOKEN, "x-bt-org-name": ORG}
        sent = request(server.port, server.path, headers, scenario.body())
        return drive(server.port, sent, scenario.runs, scenario.cases, limit)

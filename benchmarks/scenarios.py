"""The scenarios: each is a task, a number of runs at once, and a number of cases of each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WAIT = 0.05
"""Seconds for which tasks wait. The evaluators of all servers have the same number."""
EMPTY_CONCURRENCY = 10
WAIT_CONCURRENCY = 100
"""Cases of one run at a time. The evaluators of all servers have the same number."""
SPANS_PER_CASE = 3
"""One for the case, one for its task, one for its scorer."""
PLAYGROUND = "5b1fa5a2-6d3c-4a07-9c3e-0d6a4b1f7e90"
GENERATION = "benchmark"


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    Attributes:
        task: the evaluator's name: ``empty``, ``compute``, ``sync`` or ``async``.
        cases: the number of cases of each run.
        runs: the number of runs at the same time.
    """

    task: str
    cases: int
    runs: int = 1

    @property
    def key(self) -> str:
        return f"{self.task}-{self.runs}x{self.cases}"

    @property
    def what(self) -> str:
        """What the tasks do."""
        return {
            "empty": "empty tasks",
            "compute": "tasks that compute for five milliseconds",
            "sync": f"tasks that block for {WAIT * 1000:g} ms",
            "async": f"async tasks that wait for {WAIT * 1000:g} ms",
        }[self.task]

    @property
    def title(self) -> str:
        if self.runs == 1:
            return f"{self.what}, {self.cases:,} cases"
        return f"{self.what}, {self.runs} runs at once of {self.cases} cases"

    @property
    def total(self) -> int:
        """The cases of all runs."""
        return self.cases * self.runs

    @property
    def ideal(self) -> float:
        """The seconds that a run waits if its tasks take no other time."""
        if self.task in ("empty", "compute"):
            return 0.0
        return -(-self.cases // WAIT_CONCURRENCY) * WAIT

    def body(self) -> dict[str, Any]:
        """Return the request for one run, in the Playground's form."""
        return {
            "name": self.task,
            "stream": True,
            "data": {"data": [{"input": n, "expected": n} for n in range(self.cases)]},
            "parent": {
                "object_type": "playground_logs",
                "object_id": PLAYGROUND,
                "propagated_event": {"span_attributes": {"generation": GENERATION}},
            },
        }


FULL = (
    Scenario("empty", 200),
    Scenario("empty", 2_000),
    Scenario("empty", 10_000),
    Scenario("sync", 100),
    Scenario("sync", 200),
    Scenario("async", 100),
    Scenario("async", 200),
    Scenario("empty", 100, runs=20),
    Scenario("sync", 20, runs=100),
    Scenario("async", 20, runs=100),
    Scenario("sync", 20, runs=500),
    Scenario("async", 20, runs=500),
)
QUICK = (
    Scenario("empty", 200),
    Scenario("sync", 20),
    Scenario("async", 100),
    Scenario("async", 20, runs=20),
)

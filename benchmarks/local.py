"""Compares runs without a server: ``Evaluator.run`` beside two other libraries' local runs.

    python -m benchmarks.local [--rounds 7]

The others are the ``braintrust`` SDK's ``Eval(no_send_logs=True)`` and pydantic-evals'
``evaluate_sync``. All have the same cases, the same task and one scorer that compares two values.
Each figure is from a process of its own, since libraries that are only imported slow each other
down: of several rounds, the shortest time and the least processor time. Processes take turns, so
that other load affects all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CASES = 1_000
WAIT = 0.05
LIMIT = 300
"""Seconds that one process may take."""


def same(input: Any, output: Any, expected: Any) -> float:
    return 1.0 if output == expected else 0.0


def echo(input: Any) -> Any:
    return input


async def echo_async(input: Any) -> Any:
    return input


def wait(input: Any) -> Any:
    time.sleep(WAIT)
    return input


async def wait_async(input: Any) -> Any:
    await asyncio.sleep(WAIT)
    return input


@dataclass(frozen=True)
class Scenario:
    """A task, and how many cases of it run at a time.

    Attributes:
        title: what the table calls it.
        task: the task.
        at_a_time: cases at a time.
        ideal: the seconds that all cases wait, if nothing else takes time.
    """

    title: str
    task: Callable[[Any], Any]
    at_a_time: int
    ideal: float = 0.0


SCENARIOS = {
    "empty": Scenario("empty tasks", echo, 10),
    "empty-async": Scenario("empty async tasks", echo_async, 10),
    "wait": Scenario("tasks that block for 50 ms, 50 at a time", wait, 50, CASES / 50 * WAIT),
    "wait-async": Scenario(
        "async tasks that wait for 50 ms, 50 at a time", wait_async, 50, CASES / 50 * WAIT
    ),
}


def with_ours(scenario: Scenario) -> Callable[[], int]:
    from flask_braintrust_evals import Evaluator

    evaluator = Evaluator("local", scenario.task, scores=[same])
    data = [{"input": number, "expected": number} for number in range(CASES)]

    def run() -> int:
        return evaluator.run(data, max_concurrency=scenario.at_a_time).scores["same"].count

    return run


def with_sdk(scenario: Scenario) -> Callable[[], int]:
    from braintrust import Eval

    data: Any = [{"input": number, "expected": number} for number in range(CASES)]

    def run() -> int:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            result: Any = Eval(
                "local",
                data=data,
                task=scenario.task,
                scores=[same],
                no_send_logs=True,
                max_concurrency=scenario.at_a_time,
            )
        return sum(each.scores.get("same") == 1 for each in result.results)

    return run


def with_pydantic(scenario: Scenario) -> Callable[[], int]:
    from pydantic_evals import Case, Dataset
    from pydantic_evals.evaluators import Evaluator as PydanticEvaluator
    from pydantic_evals.evaluators import EvaluatorContext

    @dataclass
    class Same(PydanticEvaluator):
        def evaluate(self, ctx: EvaluatorContext) -> float:
            return same(ctx.inputs, ctx.output, ctx.expected_output)

    cases: list[Any] = [Case(name=str(n), inputs=n, expected_output=n) for n in range(CASES)]
    dataset: Any = Dataset(name="local", cases=cases, evaluators=[Same()])

    def run() -> int:
        report = dataset.evaluate_sync(
            scenario.task, max_concurrency=scenario.at_a_time, progress=False
        )
        return sum(each.scores["Same"].value == 1 for each in report.cases)

    return run


SUBJECTS = {
    "ours": ("Evaluator.run", with_ours),
    "sdk": ("braintrust's Eval", with_sdk),
    "pydantic": ("pydantic-evals", with_pydantic),
}


def measure_here(subject: str, key: str) -> None:
    """Measure in this process, and print the seconds and the processor time of a run."""
    run = SUBJECTS[subject][1](SCENARIOS[key])
    figures = []
    for _ in range(4):  # the first one imports what a run needs
        used, began = time.process_time(), time.perf_counter()
        scored = run()
        figures.append((time.perf_counter() - began, time.process_time() - used))
        assert scored == CASES, f"{scored} of {CASES} cases have a score"
    sys.stdout.write(json.dumps([min(column) for column in zip(*figures[1:], strict=True)]))


def measure(subject: str, key: str) -> tuple[float, float]:
    """Measure in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.local", "--only", subject, key],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    seconds, used = json.loads(done.stdout.splitlines()[-1])
    return seconds, used


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    arguments.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.only:
        measure_here(*options.only)
        return
    for key, scenario in SCENARIOS.items():
        figures: dict[str, list[tuple[float, float]]] = {subject: [] for subject in SUBJECTS}
        for _ in range(options.rounds):
            for subject, rows in figures.items():
                rows.append(measure(subject, key))
        sys.stdout.write(f"\n{scenario.title}, {CASES:,} cases\n")
        _report(scenario, figures)


def _report(scenario: Scenario, figures: dict[str, list[tuple[float, float]]]) -> None:
    best = {
        subject: [min(column) for column in zip(*rows, strict=True)]
        for subject, rows in figures.items()
    }
    for subject, (seconds, used) in best.items():
        line = f"  {SUBJECTS[subject][0]:18} {CASES / seconds:8,.0f} cases/s"
        line += f" {used / CASES * 1e6:7.0f} us of processor time per case"
        if scenario.ideal:
            line += f"   {seconds / scenario.ideal:.2f} x ideal"
        elif subject != "ours":
            line += f"   ours is {seconds / best['ours'][0]:.1f} x"
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()

"""Measures what importing the package costs an application.

    python -m benchmarks.import_cost [--rounds 9]

Each figure is from an interpreter of its own: processor time in milliseconds, and resident memory
in MB, beside those of an interpreter that has imported Flask and gevent alone. Rounds alternate
between the rows, and each figure is the median. The goals are those for registering one plain
evaluator.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

MILLISECONDS, MEGABYTES = 150, 12
"""The goals for registering one plain evaluator."""

HOST = "import flask, gevent\napp = flask.Flask('host')\n"
REGISTER = """
from flask_braintrust_evals import EvalsBlueprint, Evaluator
bp = EvalsBlueprint("evals", "host", evaluators=[Evaluator("echo", lambda input: input)])
app.register_blueprint(bp, url_prefix="/evals")
"""
WARM = """
from flask_braintrust_evals import warm_up
warm_up()
"""
HELP = "from flask.cli import cli\ncli.main(['--help'], standalone_mode=False)\n"
MEASURE = """
import json, os, resource, sys
used = resource.getrusage(resource.RUSAGE_SELF)
pages = int(open("/proc/self/statm").read().split()[1])
sys.stderr.write(json.dumps(
    [(used.ru_utime + used.ru_stime) * 1e3, pages * os.sysconf("SC_PAGESIZE") / 1e6]
))
"""
SCRIPTS = {
    "Flask and gevent": HOST,
    "one evaluator registered": HOST + REGISTER,
    "warmed up for requests": HOST + REGISTER + WARM,
    "flask --help": HOST + HELP,
}


def measure(script: str) -> tuple[float, float]:
    """Return the milliseconds and megabytes of an interpreter that runs a script."""
    done = subprocess.run(
        [sys.executable, "-c", script + MEASURE], capture_output=True, check=True, timeout=60
    )
    milliseconds, megabytes = json.loads(done.stderr.splitlines()[-1])
    return milliseconds, megabytes


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=9)
    rounds = arguments.parse_args().rounds
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in SCRIPTS}
    for _ in range(rounds):
        for name, script in SCRIPTS.items():
            figures[name].append(measure(script))
    bases = figures["Flask and gevent"]
    sys.stdout.write(f"{'':28} {'ms':>8} {'MB':>8} {'more ms':>8} {'more MB':>8}\n")
    for name, rows in figures.items():
        time, memory = (statistics.median(column) for column in zip(*rows, strict=True))
        more_time, more_memory = (
            statistics.median(own - base for own, base in zip(column, base_column, strict=True))
            for column, base_column in zip(
                zip(*rows, strict=True), zip(*bases, strict=True), strict=True
            )
        )
        sys.stdout.write(
            f"{name:28} {time:8.0f} {memory:8.1f} {more_time:8.0f} {more_memory:8.1f}\n"
        )
    sys.stdout.write(f"Goals for one evaluator: {MILLISECONDS} ms, {MEGABYTES} MB.\n")


if __name__ == "__main__":
    main()

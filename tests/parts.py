"""Runs the fast tests in several parts side by side: ``python -m tests.parts``.

Each part is run by a process that is forked from one which has imported what most tests import, so
that it starts within milliseconds. There are more parts than cores, since some tests wait. To share
out single tests, as xdist does, takes half as much again as running them.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tempfile
from multiprocessing import connection, get_context
from pathlib import Path
from typing import IO

import pytest

FAST = "not live and not slow"
"""The expression of marks that these tests have."""
TESTS = Path(__file__).parent
PARTS = (
    "web/eval_requests",
    "web/access web/answers web/descriptions web/monitoring web/page web/requests",
    "cloud",
    "engine",
    "applications cli statements",
    "distribution",
    "celery concurrency contrib",
)
"""The folders of each part. A further part has all that is left."""
ELSEWHERE = "official packaging"
"""The folders of `make compare` and `make package`."""
IMPORTED = (
    "braintrust",
    "click.testing",
    "flask.testing",
    "flask_braintrust_evals.blueprint.views",
    "flask_braintrust_evals.cli.commands.evals_group",
    "flask_braintrust_evals.contrib.braintrust.tracing",
    "flask_braintrust_evals.engine.parameters.declare",
    "flask_braintrust_evals.engine.parameters.prompt_parameters",
    "flask_braintrust_evals.extension.runtime",
    "flask_braintrust_evals.web.answers.own_answer",
    "gevent.pywsgi",
    "hypothesis.strategies",
    "jinja2",
    "jsonschema",
    "numpy",
    "opentelemetry.sdk.trace",
    "pydantic",
    "requests",
    "tests.standin",
    "tests.support",
    "tests.web.support",
)
"""What three or more parts import. No test may depend on one of these being absent."""


def main(options: list[str]) -> int:
    """Run all parts, print what each of them prints when it ends, and return an exit status.

    Args:
        options: further arguments of pytest, for every part.
    """
    os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"  # which take longer to import than Hypothesis does
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # pytest warns of what is imported by then
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is never looked at is never copied
    fork = get_context("fork")
    running = {}
    for files in parts():
        output = tempfile.TemporaryFile()
        process = fork.Process(target=_run, args=(output, [*options, *files]))
        process.start()
        running[process.sentinel] = process, output
    has_passed = True
    while running:
        for sentinel in connection.wait(list(running)):
            assert isinstance(sentinel, int)
            process, output = running.pop(sentinel)
            process.join()
            has_passed = has_passed and process.exitcode == 0
            output.seek(0)
            sys.stdout.buffer.write(output.read())
            sys.stdout.flush()
    return 0 if has_passed else 1


def parts() -> list[list[str]]:
    """Return the arguments of pytest that say which files each part has."""
    named = [[str(TESTS / folder) for folder in part.split()] for part in (*PARTS, ELSEWHERE)]
    left = [argument for paths in named for path in paths for argument in ("--ignore", path)]
    return [*named[:-1], left]


def _run(output: IO[bytes], arguments: list[str]) -> None:
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.exit(int(pytest.main(["--quiet", "-m", FAST, *arguments])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

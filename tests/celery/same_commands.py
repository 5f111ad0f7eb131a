"""Runs commands of :mod:`.same_app` in one process, and writes as JSON what they have reported.

python -m tests.celery.same_commands '[["NAME", "--option"]]'
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from .same_app import create_app

CASES = [{"input": word, "expected": word} for word in ("good", "bad")]


def main(commands: list[list[str]]) -> list[Any]:
    """Run ``flask evals run`` with each of the lists of options."""
    runner = create_app().test_cli_runner()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.json"
        file.write_text(json.dumps(CASES))
        found = []
        for options in commands:
            given = [str(file) if option == "CASES" else option for option in options]
            result = runner.invoke(args=["evals", "run", *given, "--json"])
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            found.append({"status": result.exit_code, "output": result.stdout})
    return found


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))  # noqa: T201

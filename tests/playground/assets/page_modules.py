"""Runs the local page's own modules in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.playground.page_files import FOLDER

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node: apt-get install -y nodejs")


def run_in_node(folder: Path, script: str, arguments: Sequence[str] = ()) -> Any:
    """Return the JSON value that a script prints. It imports the page's modules from ``./``.

    Args:
        folder: an empty folder for the script and copies of the modules.
        script: an ES module.
        arguments: what the script finds in ``process.argv`` from index 2.
    """
    for module in FOLDER.glob("*.js"):
        shutil.copy(module, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "script.js").write_text(script)
    done = subprocess.run(
        [NODE or "", "script.js", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""Files of cases as other programs write them, read by the local page's own modules in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.web.page import FILES
from tests.tables import TableFile, table_files

NODE = shutil.which("node")
READ_ALL = """
import { readFileSync } from "node:fs";
import { decodeText, parseCases } from "./cases.js";
const read = (path) => {
  try {
    return { cases: parseCases(decodeText(readFileSync(path))) };
  } catch (error) {
    return { error: error.message };
  }
};
console.log(JSON.stringify(process.argv.slice(2).map(read)));
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node: apt-get install -y nodejs")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page reads from each file, by the file's name."""
    folder = tmp_path_factory.mktemp("page")
    for name in ("cases.js", "tables.js"):
        shutil.copy(FILES / name, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "read.js").write_text(READ_ALL)
    paths = [str(file.path) for file in table_files()]
    done = subprocess.run(
        [NODE or "", "read.js", *paths], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {Path(path).name: value for path, value in zip(paths, found, strict=True)}


@pytest.mark.parametrize("file", table_files(), ids=lambda file: file.path.name)
def test_the_page_reads_a_file_of_cases_as_the_command_line_does(
    read: dict[str, Any], file: TableFile
) -> None:
    found = read[file.path.name]
    file.check(found.get("cases"), found.get("error"))

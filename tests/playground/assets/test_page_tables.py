"""Files of cases as other programs write them, read by the local page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tables import TableFile, table_files

from .page_modules import needs_node, run_in_node

READ_ALL = """
import { readFileSync } from "node:fs";
import { decodeText, ignoredKeys, parseCases } from "./cases.js";
const read = (path) => {
  try {
    const cases = parseCases(decodeText(readFileSync(path)));
    return { cases, ignored: ignoredKeys(cases) };
  } catch (error) {
    return { error: error.message };
  }
};
const isExact = typeof JSON.rawJSON === "function";
console.log(JSON.stringify([...process.argv.slice(2).map(read), isExact]));
"""

pytestmark = [needs_node, pytest.mark.slow]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page reads from each file, by the file's name."""
    paths = [file.path for file in table_files()]
    found = run_in_node(tmp_path_factory.mktemp("page"), READ_ALL, [str(each) for each in paths])
    *values, is_exact = found
    return {"is exact": is_exact} | {
        path.name: value for path, value in zip(paths, values, strict=True)
    }


@pytest.mark.parametrize("file", table_files(), ids=lambda file: file.path.name)
def test_the_page_reads_a_file_of_cases_as_the_command_line_does(
    read: dict[str, Any], file: TableFile
) -> None:
    found = read[file.path.name]
    if file.path.name.startswith("large-integers") and not read["is exact"]:
        pytest.skip("this version of node rounds large integers; browsers read this file, too")
    file.check(found.get("cases"), found.get("error"), found.get("ignored"))

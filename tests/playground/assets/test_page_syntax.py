"""The modules of the local page are valid, and have what others import from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .page_modules import needs_node, run_in_node

LINK = """
import { readdirSync } from "node:fs";
const problems = [];
globalThis.document = { getElementById: () => null };
const note = (name) => (error) => {
  // Others are of modules that need a document.
  if (error instanceof SyntaxError) problems.push(`${name}: ${error.message}`);
};
const names = readdirSync(".").filter((each) => each.endsWith(".js") && each !== "script.js");
for (const name of names) await import(`./${name}`).catch(note(name));
console.log(JSON.stringify(problems));
"""


@needs_node
@pytest.mark.slow
def test_all_modules_can_be_linked(tmp_path: Path) -> None:
    assert run_in_node(tmp_path, LINK) == []

"""How the local page shows, sorts and finds values, and reads files of cases and results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .page_modules import needs_node, run_in_node

pytestmark = [needs_node, pytest.mark.slow]

VALUES = """
import { inOrder, sortable } from "./columns.js";
import { percent } from "./dom.js";
import { found } from "./search.js";
const { shares, values, row, words } = JSON.parse(process.argv[2]);
const sorted = values.map((value) => ({ value, by: sortable(value) }));
sorted.sort((a, b) => inOrder(a.by, b.by));
console.log(JSON.stringify([
  shares.map(percent),
  sorted.map(({ value }) => value),
  words.map((each) => found(row, each)),
]));
"""


def test_values_are_shown_sorted_and_found_as_people_expect(tmp_path: Path) -> None:
    said = 'she said "hi"\n'
    given = {
        "shares": [1, 0, 0.99975, 0.0001, 0.9994, 0.0006, 0.5, 1.5, -0.5],
        "values": ["b", 10, "2", 1, "a", "10.5", -3, None, {"a": 1}],
        "row": {"state": "done", "input": {"path": "C:\\temp", said: [said]}, "output": "x"},
        "words": ["C:\\temp", '"hi"', 'said "hi"', "path", '{"path"', "gone"],
    }
    shares, values, words = run_in_node(tmp_path, VALUES, [json.dumps(given)])
    assert shares == [
        "100.0 %",
        "0.0 %",
        "> 99.9 %",
        "< 0.1 %",
        "99.9 %",
        "0.1 %",
        "50.0 %",
        "150.0 %",
        "-50.0 %",
    ]
    assert values == [-3, 1, "2", 10, "10.5", None, "a", "b", {"a": 1}]
    assert words == [True, True, True, True, True, False]


FILE = """
import { CaseFile } from "./case_file.js";
const encoded = (text) => new TextEncoder().encode(text).buffer;
const named = (name, buffer) =>
  ({ name, size: 1, lastModified: 1, arrayBuffer: async () => buffer });
const gone = { ...named("gone.json"), arrayBuffer: async () => Promise.reject(new Error("gone")) };
const file = new CaseFile();
await file.take(named("old.json", encoded('[{"input": "old"}]')));
const error = await file.take(gone).then(() => "", ({ message }) => message);
const kept = [];
const wrong = [encoded(""), encoded('[{"input": '), new Uint8Array([0x81]).buffer];
const large = encoded(JSON.stringify([{ input: "x".repeat(2_000_000) }]));
for (const buffer of [...wrong, large]) {
  const [one, again] = [new CaseFile(), new CaseFile()];
  await one.take(named("x", buffer));
  again.restore(structuredClone(one.kept()));
  kept.push([one.problem, again.problem]);
}
console.log(JSON.stringify([[file.name, file.cases, error], kept]));
"""


def test_a_file_that_cannot_be_read_leaves_the_one_before_and_says_why(tmp_path: Path) -> None:
    (name, cases, error), kept = run_in_node(tmp_path, FILE)
    assert (name, cases) == ("old.json", [{"input": "old"}])
    assert error.startswith("gone.json has changed since it was chosen, or is gone")
    *wrong, (before, after) = kept
    assert all(problem and problem == again for problem, again in wrong)
    assert not before
    assert after == "the file is too large to be kept with the form: choose it again"


READ = """
import { choices } from "./filter_kinds.js";
import { fromResults } from "./read_results.js";
const runs = JSON.parse(process.argv[2]).flatMap(fromResults);
const labels = choices(runs[0]).find(({ title }) => title === "Labels").filters;
console.log(JSON.stringify([runs.map(({ id }) => id), labels.map(({ text }) => text)]));
"""


def test_files_of_results_that_others_make_are_told_apart_and_filtered(tmp_path: Path) -> None:
    head = {"format": "flask-braintrust-evals/results", "version": 1, "evaluator": "e"}
    odd = {"a": "text", "b": {"id": "one"}, "c": [{"label": "l"}, None, 5], "d": None}

    def file(**more: Any) -> dict[str, Any]:
        return {**head, "results": [{"input": 1, "classifications": odd}], **more}

    files = [file(), file(results=[]), file(parameters={"a": 1}), file(), file(id="own")]
    ids, labels = run_in_node(tmp_path, READ, [json.dumps(files)])
    assert ids[0] == ids[3], "the same run again"
    assert len({*ids}) == 4
    assert ids[4] == "own"
    assert labels == ["a: text (1)", "b: one (1)", "c:  (1)", "c: 5 (1)", "c: l (1)"]

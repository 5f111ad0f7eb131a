"""What the local page makes of names and texts that others choose: scorers' names, and outputs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.cli.inputs.cases import parse_cases
from flask_braintrust_evals.playground.page_files import FOLDER

from .page_modules import needs_node, run_in_node

pytestmark = [needs_node, pytest.mark.slow]

NAMES = ["constructor", "toString", "__proto__", "hasOwnProperty"]

COMPARE = """
import { compare } from "./compare.js";
import { own, scoreOf } from "./records.js";
import { Run } from "./run.js";
const [now, before, none_at_all, names] = process.argv.slice(2);
const runOf = (scores) => {
  const run = new Run("e", {}, 1);
  run.handle("case_start", '{"id":"1","index":0,"trial_index":0,"input":1,"expected":1}');
  const rest =
    '"classifications":{},"metadata":{},"tags":[],"duration":1,"scorer_errors":{"other":"x"}';
  run.handle("case_result", `{"id":"1","scores":${scores},${rest}}`);
  return run;
};
const [newer, older, none] = [now, before, none_at_all].map(runOf);
const of = (read) => JSON.parse(names).map(read);
const [{ scores: changes, verdict }] = compare(newer, older).values();
const [{ scores: unchanged }] = compare(newer, none).values();
console.log(JSON.stringify({
  listed: newer.scoreNames, polluted: ({}).score, verdict,
  changes: of((name) => own(changes, name) ?? null),
  unchanged: of((name) => own(unchanged, name) ?? null),
  shown: of((name) => scoreOf(newer.rows[0], name) ?? null),
  missing: of((name) => scoreOf(none.rows[0], name) ?? null),
  failed: of((name) => Boolean(own(newer.rows[0].scorerErrors, name))),
  failedOther: Boolean(own(newer.rows[0].scorerErrors, "other")),
}));
"""


def test_scorers_may_be_named_as_what_every_object_has(tmp_path: Path) -> None:
    now = {name: {"score": 1} for name in NAMES}
    before = {name: {"score": 0.5} for name in NAMES}
    arguments = [json.dumps(each) for each in (now, before, {}, NAMES)]
    found: Any = run_in_node(tmp_path, COMPARE, arguments)
    assert found == {
        "listed": NAMES,
        "verdict": "better",
        "changes": [0.5] * 4,
        "unchanged": [None] * 4,
        "shown": [1] * 4,
        "missing": [None] * 4,
        "failed": [False] * 4,
        "failedOther": True,
    }


def test_no_module_reads_the_scores_of_a_row_by_a_bare_name() -> None:
    for module in FOLDER.glob("*.js"):
        text = module.read_text("utf-8")
        for bare in ("scores[name]", "scorerErrors[name]", "Errors?.[name]", "scores?.[name]"):
            assert bare not in text, module.name


EXPORT = """
import { asCsv } from "./export.js";
const [names, outputs] = process.argv.slice(2).map((each) => JSON.parse(each));
const plain = { index: 0, trial: 0, state: "done", input: "i", expected: null, duration: 1 };
const row = (output) => ({ ...plain, output, scores: {} });
console.log(JSON.stringify(asCsv({ scoreNames: names, rows: outputs.map(row) })));
"""
FORMULAS = [
    "=1+1",
    'a;=HYPERLINK("http://evil.example")',
    "a;=1+2;b",
    "a\t=1+2",
    "\t=1",
    "\r=1",
    "\n=1",
    "-1+1",
    "+1+1",
    "@SUM(A1)",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(A1)",
    'a";=1+2',
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_of_an_export_is_a_formula_whatever_separates_cells(
    tmp_path: Path, delimiter: str
) -> None:
    arguments = [json.dumps(each) for each in (["=1+1"], FORMULAS)]
    text = run_in_node(tmp_path, EXPORT, arguments).removeprefix("\ufeff")
    rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    starts = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
    assert not [cell for row in rows for cell in row if cell.startswith(starts)]
    if delimiter == ",":
        assert len(rows) == len(FORMULAS) + 1
        at = rows[0].index("output")
        assert [row[at].replace("'", "") for row in rows[1:]] == FORMULAS


def test_numbers_and_plain_texts_are_exported_as_they_are(tmp_path: Path) -> None:
    plain = ["-5", "+1.5", "a;b", "1;-5;+2", "a - b = c", "größe", "", 'say "hi", twice']
    text = run_in_node(tmp_path, EXPORT, [json.dumps([]), json.dumps(plain)])
    assert text.startswith("\ufeff"), "so that Excel reads it as UTF-8"
    assert [row["output"] for row in csv.DictReader(text[1:].splitlines())] == plain


WHOLE = """
import { asCsv } from "./export.js";
console.log(JSON.stringify(asCsv(JSON.parse(process.argv[2]))));
"""


def test_an_export_has_all_that_is_known_of_a_case_and_is_read_again(tmp_path: Path) -> None:
    row = {
        "caseId": "seven",
        "index": 0,
        "trial": 1,
        "state": "done",
        "input": {"a": 1},
        "expected": "x",
        "output": None,
        "errorPlace": "app.py:1",
        "tags": ["t; u"],
        "metadata": {"m": [2]},
        "classifications": {"kind": [{"id": "k"}]},
        "scores": {"exact": {"score": 0.5, "metadata": {"why": "half"}}, "none": {"score": None}},
        "scorerErrors": {"broken": "ValueError: no"},
        "duration": 0.25,
        "metrics": {"tokens": 7},
        "scorerMetrics": {"tokens": 0},
    }
    run = {"scoreNames": ["exact", "none"], "rows": [row]}
    text = run_in_node(tmp_path, WHOLE, [json.dumps(run)])
    (found,) = csv.DictReader(text[1:].splitlines())
    assert found == {
        "id": "seven",
        "index": "0",
        "trial": "1",
        "state": "done",
        "input": '{"a":1}',
        "expected": "x",
        "output": "",
        "error": "",
        "error_place": "app.py:1",
        "tags": '["t; u"]',
        "metadata": '{"m":[2]}',
        "classifications": '{"kind":[{"id":"k"}]}',
        "score exact": "0.5",
        "score none": "",
        "score_metadata": '{"exact":{"why":"half"}}',
        "scorer_errors": '{"broken":"ValueError: no"}',
        "seconds": "0.25",
        "metric tokens": "7",
        "scorer_metric tokens": "0",
    }
    (case,) = parse_cases(text.encode())
    assert (case["id"], case["input"], case["tags"]) == ("seven", {"a": 1}, ["t; u"])


LINK = """
import { readdirSync } from "node:fs";
globalThis.location = { href: "http://localhost/evals/playground", hash: "" };
const wrong = [];
const files = readdirSync(".").filter((each) => each.endsWith(".js") && each !== "script.js");
for (const file of files) {
  try {
    await import(`./${file}`);
  } catch (error) {
    // What is missing in node is the page itself, when a module begins to use it.
    if (error.name === "SyntaxError") wrong.push(`${file}: ${error.message}`);
  }
}
console.log(JSON.stringify(wrong));
"""


def test_all_modules_can_be_read_and_have_what_others_import_of_them(tmp_path: Path) -> None:
    assert run_in_node(tmp_path, LINK) == []

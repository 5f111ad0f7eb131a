"""The local page compares two runs as the command line does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.comparisons import Comparison, comparisons

from .page_modules import needs_node, run_in_node

pytestmark = [needs_node, pytest.mark.slow]

COMPARE_ALL = """
import { readFileSync } from "node:fs";
import { compareScores, likely } from "./compare.js";
import { fromResults } from "./read_results.js";
const compared = (path) => {
  const pair = JSON.parse(readFileSync(path));
  const [[now], [before]] = [fromResults(pair.now), fromResults(pair.before)];
  const { scores, missing, cases, onlyBefore, onlyNow } = compareScores(now, before);
  const said = scores.map((each) => ({ ...each, likely: likely(each) }));
  return { scores: said, missing, cases, only_before: onlyBefore, only_now: onlyNow };
};
console.log(JSON.stringify(process.argv.slice(2).map(compared)));
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page finds in each pair of runs, by the name of its file."""
    paths = [each.path for each in comparisons()]
    folder = tmp_path_factory.mktemp("page")
    found = run_in_node(folder, COMPARE_ALL, [str(each) for each in paths])
    return {path.name: value for path, value in zip(paths, found, strict=True)}


@pytest.mark.parametrize("pair", comparisons(), ids=lambda pair: pair.path.stem)
def test_scores_are_compared_as_on_the_command_line(
    compared: dict[str, Any], pair: Comparison
) -> None:
    pair.check(compared[pair.path.name])


ROWS = """
import { changedParameters, compare, direction, judged, points } from "./compare.js";
import { diff, differing } from "./diff.js";
import { comparable } from "./values.js";
const row = (index, output, score, rest = {}) => ({
  index, trial: 0, input: index, output, state: "done", scores: { s: { score } }, ...rest });
const now = { rows: [
  row(0, { a: 1, b: [2] }, 0.5), row(1, { a: 1 }, 0.1 + 0.2), row(2, "x", 1),
  row(3, undefined, 0, { state: "error", error: "E", scores: {} }), row(4, "new", 1),
] };
const before = { rows: [
  row(0, { b: [2], a: 1 }, 0.5), row(1, { a: 2 }, 0.3), row(2, "y", 0), row(3, "fine", 1),
] };
const compared = compare(now, before);
const change = (before, now) => ({ before, now, chance: 1, better: 0 });
const pieces = diff(comparable({ b: 1, a: [2] }), comparable({ a: [2], b: 1 }));
console.log(JSON.stringify({
  rows: now.rows.map((each) => compared.get(each) ?? null)
    .map((each) => each && [each.verdict, each.same, each.scores]),
  points: [change(0.7, 0.75), change(0.75, 0.7), change(0.5, 0.5), change(0.1 + 0.2, 0.3)]
    .map(points),
  directions: [change(0.5, 0.5), change(0.1 + 0.2, 0.3), change(0, 1)].map(direction),
  judged: [change(0.5, 0.5), { ...change(0.5, 0.5), better: 1 }, change(1, 0)].map(judged),
  near: [
    [`${"a ".repeat(900)}b${" c".repeat(600)}!`, `${"a ".repeat(900)}x${" c".repeat(600)}?`],
    [`${"a ".repeat(99)}b`, `${"a ".repeat(99)}c`],
    ["a ".repeat(900), "a ".repeat(900)],
  ].map(([before, now]) => differing(diff(before, now)).map(({ text }) => text)),
  kinds: pieces.map(({ kind }) => kind),
  parameters: changedParameters(
    { parameters: { a: { x: 1, y: 2 }, b: 1, new: null } },
    { parameters: { a: { y: 2, x: 1 }, b: 2, old: "o" } },
  ).map(({ name, before, now }) => [name, before ?? "-", now ?? "-"]),
}));
"""


def test_the_order_of_keys_and_the_last_digits_of_floats_are_no_difference(tmp_path: Path) -> None:
    found = run_in_node(tmp_path, ROWS)
    assert found["rows"] == [
        ["", True, {}],
        ["", False, {}],
        ["better", False, {"s": 1}],
        ["worse", False, {}],
        None,
    ]
    assert found["points"] == [
        "+5.0 percentage points",
        "−5.0 percentage points",
        *["±0.0 percentage points"] * 2,
    ]
    assert found["directions"] == ["", "", "better"]
    assert found["judged"] == [
        "no case has another score",
        "the mean is as before",
        "fell, which may be chance (p = 1.000)",
    ]
    assert found["kinds"] == ["same"]
    assert found["near"] == [
        ["…\n" + "a " * 100, "b", "x", " c" * 100 + "\n…\n" + " c" * 100, "!", "?"],
        ["a " * 99, "b", "c"],
        ["a " * 900],
    ]
    assert found["parameters"] == [["b", 2, 1], ["old", "o", "-"], ["new", "-", "-"]]

"""Which runs the local page removes from the browser's database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .page_modules import needs_node, run_in_node

pytestmark = [needs_node, pytest.mark.slow]

SURPLUS = """
import { surplus } from "./store.js";
const { runs, except, limits } = JSON.parse(process.argv[2]);
console.log(JSON.stringify(surplus(runs, except, limits).map(({ id }) => id)));
"""


def run(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "application": "a", "evaluator": "e", "state": "finished", "size": 10, **more}


@pytest.mark.parametrize(
    ("runs", "limits", "removed"),
    [
        pytest.param([run("3"), run("2"), run("1")], [2, 1000], ["1"], id="too many"),
        pytest.param(
            [run("4"), run("3", label="x"), run("2"), run("1", label="y")],
            [1, 1000],
            ["2"],
            id="those with a label do not count",
        ),
        pytest.param(
            [run("3"), run("2", evaluator="f"), run("1", application="b")],
            [1, 1000],
            [],
            id="each evaluator of each application has its own",
        ),
        pytest.param([run("3"), run("2"), run("1")], [9, 25], ["1"], id="too large"),
        pytest.param(
            [run("3", size=100), run("2"), run("1", label="x", size=100)],
            [9, 25],
            ["2"],
            id="neither the latest nor one with a label",
        ),
        pytest.param(
            [run("3"), run("2", state="running"), run("1", state="interrupted")],
            [9, 5],
            ["1"],
            id="none that goes on",
        ),
    ],
)
def test_the_oldest_runs_without_a_label_are_removed_first(
    tmp_path: Path, runs: list[Any], limits: list[int], removed: list[str]
) -> None:
    given = json.dumps({"runs": runs, "except": "3", "limits": limits})
    assert run_in_node(tmp_path, SURPLUS, [given]) == removed

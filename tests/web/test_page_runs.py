"""What the local page makes of the events of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.runs.comparison import Comparison
from flask_braintrust_evals.web.wire import summary_body

from .page_modules import needs_node, run_in_node

HANDLE = """
import { Run } from "./run.js";
const run = new Run("e", {}, null);
run.handle("summary", process.argv[2]);
console.log(JSON.stringify({ state: run.state, shown: run.error }));
"""

pytestmark = [needs_node, pytest.mark.slow]


@pytest.mark.parametrize(("cases", "shown"), [(0, "there was no case: the data is empty"), (1, "")])
def test_a_run_without_a_case_is_finished_and_says_so(
    tmp_path: Path, cases: int, shown: str
) -> None:
    summary = json.dumps(summary_body({}, RunSummary(cases=cases), Comparison(), 0))
    found: Any = run_in_node(tmp_path, HANDLE, [summary])
    assert found == {"state": "finished", "shown": shown}


USED = """
import { used } from "./details.js";
import { Run } from "./run.js";
const run = new Run("e", {}, null);
run.handle("case_start", JSON.stringify({ id: "a", index: 0, trial_index: 0, input: 1 }));
run.handle("case_result", process.argv[2]);
const [row] = run.rows;
console.log(JSON.stringify([used(row.metrics) ?? null, used(row.scorerMetrics) ?? null]));
"""


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, [None, None]),
        ({"metrics": {"duration": 0.5}}, [None, None]),
        (
            {"metrics": {"duration": 0.5, "tokens": 7}, "scorer_metrics": {"tokens": 3}},
            [{"tokens": 7}, {"tokens": 3}],
        ),
    ],
)
def test_tokens_and_costs_of_a_case_are_shown_where_there_are_any(
    tmp_path: Path, given: dict[str, Any], shown: list[Any]
) -> None:
    result = json.dumps({"id": "a", "scores": {}, "duration": 1, **given})
    assert run_in_node(tmp_path, USED, [result]) == shown


RUNNING = """
import { Run } from "./run.js";
const started = new Date(Date.now() - 60_000).toISOString();
const run = Run.of({ evaluator: "e", state: "running", started }, []);
console.log(JSON.stringify(Math.round((performance.now() - run.began) / 1000)));
"""


def test_the_time_of_a_run_in_another_window_is_counted_from_its_start(tmp_path: Path) -> None:
    assert run_in_node(tmp_path, RUNNING) == 60

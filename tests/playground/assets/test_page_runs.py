"""What the local page makes of the events of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.runs.experiments.comparison import Comparison
from flask_braintrust_evals.web.answers.wire import summary_body

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
import { tokensInWords } from "./metrics.js";
import { Run } from "./run.js";
const run = new Run("e", {}, null);
run.handle("case_start", JSON.stringify({ id: "a", index: 0, trial_index: 0, input: 1 }));
run.handle("case_result", process.argv[2]);
const [row] = run.rows;
const shown = [row.metrics, row.scorerMetrics].map((each) => tokensInWords(each ?? {}));
console.log(JSON.stringify(shown));
"""


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, ["", ""]),
        ({"metrics": {"duration": 0.5}}, ["", ""]),
        (
            {"metrics": {"duration": 0.5, "tokens": 7}, "scorer_metrics": {"tokens": 3}},
            ["7 tokens", "3 tokens"],
        ),
    ],
)
def test_tokens_and_costs_of_a_case_are_shown_where_there_are_any(
    tmp_path: Path, given: dict[str, Any], shown: list[str]
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


TRIALS = """
import { missing } from "./again.js";
import { totalOf } from "./trials.js";
const [described, given] = process.argv.slice(2).map((each) => JSON.parse(each));
const [request, rows] = given;
const left = missing({ rows }, request, described);
console.log(JSON.stringify([totalOf(request, described), left && left.map((each) => each.input)]));
"""
THREE: list[dict[str, Any]] = [{"input": "a"}, {"input": "b", "trial_count": 3}, {"input": "c"}]
OWN = {"cases": 5, "own_trials": {"cases": 2, "trials": 6}}


@pytest.mark.parametrize(
    ("described", "request_", "done", "total", "left"),
    [
        ({}, {"data": {"data": THREE}}, [0, 1, 1], 5, ["b", "c"]),
        ({"trial_count": 2}, {"data": {"data": THREE}}, [0, 0, 1, 2], 7, ["b", "c"]),
        ({"trial_count": 2}, {"data": {"data": THREE}, "trial_count": 1}, [0, 1, 1, 1], 5, ["c"]),
        ({**OWN, "trial_count": 2}, {"data": {"own": True}}, [0], 12, None),
        (OWN, {"data": {"own": True}, "trial_count": 4}, [0], 18, None),
        ({}, {"data": {"own": True}}, [], None, None),
        (OWN, {"data": {"dataset_id": "d"}}, [], None, None),
    ],
)
def test_every_trial_counts(
    tmp_path: Path, described: Any, request_: Any, done: list[int], total: Any, left: Any
) -> None:
    rows = [{"index": index, "state": "done"} for index in done]
    rows += [{"index": 2, "state": "cancelled"}]
    arguments = [json.dumps(each) for each in (described, [request_, rows])]
    assert run_in_node(tmp_path, TRIALS, arguments) == [total, left]


REPEATED = """
import { again, someAgain } from "./again.js";
const [described, request, rows] = JSON.parse(process.argv[2]);
const run = { evaluator: "e", rows, label: "l" };
const bodies = [again(run, null, described), someAgain(run, request, rows, { described })];
console.log(JSON.stringify(bodies.map(({ body }) => body.data.data)));
"""


def test_cases_that_say_how_many_trials_they_have_are_repeated_with_them(tmp_path: Path) -> None:
    rows = [{"index": index, "input": index} for index in (0, 0, 0, 1, 1, 2)]
    given = [{"trial_count": 2}, {"data": {"own": True}, "trial_count": 3}, rows]
    first, own = run_in_node(tmp_path, REPEATED, [json.dumps(given)])
    assert first == [{"input": 0, "trial_count": 3}, {"input": 1}, {"input": 2}]
    assert own == [{"input": 0}, {"input": 1}, {"input": 2}]


PARSE = """
import { EventParser } from "./sse.js";
const parsed = (pieces) => {
  const parser = new EventParser();
  return pieces.flatMap((each) => parser.feed(each));
};
const text = "event: a\\r\\ndata: 1\\r\\ndata: 2\\r\\n\\r\\n:\\rdata: 3\\r\\rdata\\n\\nid: 4\\n\\n";
const large = ["data: ", ...Array(2_000).fill("x".repeat(16_384)), "\\n\\n"];
const began = performance.now();
const { length } = parsed(large)[0].data;
const took = performance.now() - began;
console.log(JSON.stringify({ whole: parsed([text]), pieces: parsed([...text]), length, took }));
"""


def test_events_are_the_same_in_whatever_pieces_they_arrive(tmp_path: Path) -> None:
    found: Any = run_in_node(tmp_path, PARSE)
    assert found["whole"] == [
        {"event": "a", "data": "1\n2"},
        {"event": "message", "data": "3"},
        {"event": "message", "data": ""},
    ]
    assert found["pieces"] == found["whole"]
    assert found["length"] == 2_000 * 16_384
    assert found["took"] < 5_000, "milliseconds, which grow with the square of the pieces"

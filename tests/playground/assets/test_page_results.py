"""What the local page exports as JSON is what ``flask evals run --json`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals import Classification, Evaluator, Score
from flask_braintrust_evals.cli.stored_results.result_format import FORMAT
from flask_braintrust_evals.cli.stored_results.saved_results import SavedResults
from tests.cli.test_run import app_of, evals
from tests.web.support import Api, make_app

from .page_modules import needs_node, run_in_node

pytestmark = [needs_node, pytest.mark.slow]

EXPORT = """
import { readFileSync } from "node:fs";
import { asJson } from "./export.js";
import { Run } from "./run.js";
const events = JSON.parse(readFileSync(process.argv[2]));
const run = new Run("e", { word: "x" }, null);
for (const { event, data } of events) run.handle(event, data);
if (process.argv[3]) run.end("cancelled", "stopped");
console.log(asJson(run.plain()));
"""
CASES = [
    {"input": {"a": [2]}, "expected": "x", "id": "named", "tags": ["t"]},
    {"input": "bad", "id": 7},
    {"input": "c", "expected": "cx", "metadata": {"m": 1}, "trial_count": 2},
]
TIMES = ("id", "started", "seconds", "metrics")
"""Fields that differ from run to run."""


def task(input: Any, hooks: Any) -> Any:
    if input == "bad":
        raise ValueError("no good")
    return f"{input}{hooks.parameters.word}"


def exact(output: Any, expected: Any) -> Score:
    return Score(name="exact", score=output == expected, metadata={"why": "compared"})


def none(output: Any) -> None:
    return None


def broken(output: Any) -> float:
    raise RuntimeError("out of order")


def label(output: Any) -> Classification:
    return Classification(id="short")


def evaluator() -> Evaluator:
    return Evaluator(
        "e",
        task,
        scores=[exact, none, broken],
        classifiers=[label],
        parameters={"word": {"type": "string", "default": ""}},
        max_concurrency=1,
    )


def exported(tmp_path: Path, events: list[tuple[str, str]], *more: str) -> Any:
    file = tmp_path / "events.json"
    file.write_text(json.dumps([{"event": kind, "data": data} for kind, data in events]))
    folder = tmp_path / "page"
    folder.mkdir()
    return run_in_node(folder, EXPORT, [str(file), *more])


def page_events() -> list[tuple[str, str]]:
    api = Api(make_app(evaluator(), BRAINTRUST_EVALS_AUTH="none"), token=None)
    found = api.events(name="e", data=CASES, parameters={"word": "x"}, case_results=True)
    return [(each.type, each.data) for each in found]


def test_both_are_the_same_but_for_times_and_places(tmp_path: Path) -> None:
    arguments = ("run", "e", "--data", "-", "--json", "-p", "word=x")
    of_command = json.loads(evals(app_of(evaluator()), *arguments, input=json.dumps(CASES)).stdout)
    of_page = exported(tmp_path, page_events())

    assert list(of_page) == list(of_command), "the same fields, in the same order"
    for name in TIMES:
        assert type(of_page.pop(name)) is type(of_command.pop(name)), name
    for results in (of_page["results"], of_command["results"]):
        for each in results:
            assert each.pop("seconds") >= 0
            assert each.pop("metrics")["duration"] >= 0
            # Whether the page is told these is another question.
            assert {"error_place", "error_stack"} <= each.keys()
            each["error_place"] = each["error_stack"] = None
    assert of_page == of_command


def test_the_command_reads_what_the_page_exports(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(exported(tmp_path, page_events())))
    saved = SavedResults(str(file), "--baseline").of("e")
    assert len(saved.results) == 4
    assert saved.score_names == ["exact"]


def test_metrics_have_the_same_quantiles_and_units(tmp_path: Path) -> None:
    events = []
    for number in range(20):
        start = {"id": str(number), "index": number, "trial_index": 0, "input": 1, "expected": None}
        metrics = {"duration": number + 1, "tokens": 2, "estimated_cost": 0.5}
        result = {"id": str(number), "scores": {}, "metrics": metrics, "duration": 1}
        events += [("case_start", json.dumps(start)), ("case_result", json.dumps(result))]
    found = exported(tmp_path, [*events, ("summary", "{}")])["metrics"]
    assert found["duration"] == {
        "mean": 10.5,
        "p50": 10,
        "p95": 19,
        "total": 210,
        "count": 20,
        "unit": "s",
    }
    assert (found["tokens"]["unit"], found["estimated_cost"]["unit"]) == ("tok", "$")


def test_a_run_that_was_cancelled_says_so(tmp_path: Path) -> None:
    start = {"id": "a", "index": 0, "trial_index": 0, "input": 1, "expected": None}
    found = exported(tmp_path, [("case_start", json.dumps(start))], "cancel")
    assert (found["passed"], found["error"]) == (False, "stopped")
    assert (found["cases"], found["interrupted"], found["results"]) == (0, 1, [])


ROUND_TRIP = """
import { readFileSync } from "node:fs";
import { fromResults } from "./read_results.js";
import { toResults } from "./results.js";
const read = (path) => {
  try {
    const runs = fromResults(JSON.parse(readFileSync(path)));
    return { written: runs.map(toResults), state: runs[0].state, names: runs[0].scoreNames };
  } catch (error) {
    return { error: error.message };
  }
};
console.log(JSON.stringify(process.argv.slice(2).map(read)));
"""


def test_what_the_page_opens_it_writes_again_unchanged(tmp_path: Path) -> None:
    arguments = ("run", "e", "--data", "-", "--json", "-p", "word=x")
    text = evals(app_of(evaluator()), *arguments, input=json.dumps(CASES)).stdout
    of_command = json.loads(text)
    span = {"id": "1", "parent_id": None, "name": "task", "type": "task", "start": 0, "end": 1}
    of_command["results"][0] |= {"messages": [{"kind": "console", "text": "a"}], "spans": [span]}
    of_page = exported(tmp_path, page_events())
    head = {name: of_page[name] for name in ("format", "version")}
    files = [of_command, of_page, {**head, "passed": False, "runs": [of_command, of_page]}]
    paths = [tmp_path / f"{number}.json" for number, _ in enumerate(files)]
    for path, file in zip(paths, files, strict=True):
        path.write_text(json.dumps(file))
    folder = tmp_path / "again"
    folder.mkdir()
    found = run_in_node(folder, ROUND_TRIP, [str(each) for each in paths])
    assert [each["written"] for each in found] == [[of_command], [of_page], [of_command, of_page]]
    assert found[0]["names"] == ["exact", "none"]


NO_TEXT = {"toString": 1}
"""An object that JavaScript cannot convert to a text."""


def test_texts_may_be_any_values(tmp_path: Path) -> None:
    result = {
        **{name: NO_TEXT for name in ("error", "error_place", "error_stack")},
        **{"input": 1, "scorer_errors": {"s": NO_TEXT}, "tags": [NO_TEXT]},
        **{"messages": [{"kind": NO_TEXT, "text": NO_TEXT}], "spans": [{"id": NO_TEXT}]},
    }
    run = {"evaluator": "e", "results": [result], "notes": [NO_TEXT], "started": NO_TEXT}
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"format": FORMAT, "version": 1, **run, "label": NO_TEXT}))
    folder = tmp_path / "page"
    folder.mkdir()
    (found,) = run_in_node(folder, ROUND_TRIP, [str(path)])
    (written,) = found["written"][0]["results"]
    assert (written["error"], written["tags"]) == ('{"toString":1}', ['{"toString":1}'])


@pytest.mark.parametrize(
    ("file", "error"),
    [
        ([1], "this is no file of results: export one as JSON, or write one with"),
        ({"format": FORMAT, "version": 2}, "this file has version 2 of the format, and this"),
        ({"format": FORMAT, "version": NO_TEXT}, 'this file has version {"toString":1} of the'),
        ({"format": FORMAT, "version": 1, "runs": []}, "this file of results has no run"),
        ({"format": FORMAT, "version": 1, "evaluator": "e"}, "run 1 of this file lacks its"),
        (
            {"format": FORMAT, "version": 1, "evaluator": "e", "results": [None]},
            "result 1 of the evaluator 'e' is not an object with 'scores'",
        ),
    ],
)
def test_a_file_that_has_no_results_is_refused_with_a_reason(
    tmp_path: Path, file: Any, error: str
) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(file))
    folder = tmp_path / "page"
    folder.mkdir()
    (found,) = run_in_node(folder, ROUND_TRIP, [str(path)])
    assert found["error"].startswith(error)


WITH_SPANS = """
import { withSpans } from "./all_spans.js";
const spans = { a: [{ id: "1" }], b: [{ id: "2" }, { id: "3" }] };
const store = {
  async spans(run, id) {
    if (id === "none") throw new Error("gone");
    return spans[id] && { spans: spans[id], leftOut: 1 };
  },
};
const opened = { id: "opened", spans: [{ id: "4" }] };
const rows = [{ id: "a" }, { id: "none" }, opened, { id: "b" }, { id: "x" }];
const counts = ({ id, spans, spansCut }) => [id, spans?.length ?? null, spansCut ?? null];
const short = ({ rows }) => rows.map(counts);
const run = { id: "run", rows };
console.log(JSON.stringify([
  short(await withSpans(run, store)),
  short(await withSpans(run, store, 40)),
  short(await withSpans(run, null)),
  rows.some((each) => each.id === "a" && each.spans),
]));
"""


def test_files_have_the_spans_that_the_browser_keeps_up_to_a_limit(tmp_path: Path) -> None:
    whole, limited, without, changed = run_in_node(tmp_path, WITH_SPANS)
    opened, rest = ["opened", 1, 0], ["x", None, None]
    assert whole == [["a", 1, 1], ["none", None, None], opened, ["b", 2, 1], rest]
    assert limited == [["a", 1, 1], ["none", None, None], opened, ["b", 0, 3], rest]
    assert without == [["a", None, None], ["none", None, None], opened, ["b", None, None], rest]
    assert changed is False, "the rows that are shown are left as they are"

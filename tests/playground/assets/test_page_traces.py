"""What the local page makes of spans, of calls of models, and of the filters of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .page_modules import needs_node, run_in_node

pytestmark = [needs_node, pytest.mark.slow]

MESSAGES = """
import { messagesOf } from "./conversation.js";
const short = (messages) => messages && messages.map(({ role, parts }) =>
    [role, ...parts.map(({ kind, text }) => (kind === "text" ? text : `${kind}: ${text}`))]);
const values = JSON.parse(process.argv[2]);
console.log(JSON.stringify(values.map((each) => short(messagesOf(each, "assistant")))));
"""
CALL = {"function": {"name": "find", "arguments": '{"word":"x"}'}, "id": "1", "type": "function"}
CONVERSATIONS: list[tuple[Any, Any]] = [
    ("hello", [["assistant", "hello"]]),
    ([{"role": "user", "content": "hi"}], [["user", "hi"]]),
    ({"messages": [{"role": "user", "content": "hi"}], "model": "m"}, [["user", "hi"]]),
    ({"choices": [{"message": {"content": "ho"}}]}, [["assistant", "ho"]]),
    ([{"message": {"role": "assistant", "content": "ho"}, "index": 0}], [["assistant", "ho"]]),
    (
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}],
        [["assistant", 'calls: find({"word":"x"})']],
    ),
    ([{"role": "tool", "tool_call_id": "1", "content": "y"}], [["tool 1", "y"]]),
    (
        [{"role": "user", "content": [{"type": "text", "text": "what is"}, "this?"]}],
        [["user", "what is", "this?"]],
    ),
    (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}],
        [["user", "image_url: data:"]],
    ),
    (
        {"role": "assistant", "content": [{"type": "tool_use", "name": "find", "input": {"a": 1}}]},
        [["assistant", 'calls: find({"a":1})']],
    ),
    (
        [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
        [["user", "hi"]],
    ),
    (
        [
            {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {}}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "y"}]},
        ],
        [["assistant", "calls: f({})"], ["tool", "tool_call_response: y"]],
    ),
    (
        [{"role": "user", "content": "hi"}, "… [cut: 90 items]"],
        [["user", "hi"], ["…", "… [cut: 90 items]"]],
    ),
    ({"answer": 42}, None),
    ([{"answer": 42}], None),
    ([], None),
    (None, None),
    (7, None),
    ([None], None),
    ([{"role": 7, "content": [{"type": {}, "text": "hi"}], "name": []}], [["assistant", "hi"]]),
    (
        [{"role": "user", "tool_calls": [None, 7, {"name": {"toString": 1}, "function": None}]}],
        [["user", "calls: a tool()", "calls: a tool()", 'calls: {"toString":1}()']],
    ),
    ([{"role": "user", "content": "hi", "tool_calls": {"0": CALL}}], [["user", "hi"]]),
    ({"messages": None, "content": {"a": 1}}, [["assistant", '{\n  "a": 1\n}']]),
]


def test_calls_of_models_are_conversations_whatever_recorded_them(tmp_path: Path) -> None:
    given = [each for each, _ in CONVERSATIONS]
    found = run_in_node(tmp_path, MESSAGES, [json.dumps(given)])
    for (value, wanted), shown in zip(CONVERSATIONS, found, strict=True):
        assert shown == wanted, value


ORDER = """
import { inOrder } from "./trace.js";
const line = ({ span, depth, orphan }) => `${"  ".repeat(depth)}${span.id}${orphan ? "?" : ""}`;
const trees = JSON.parse(process.argv[2]);
const [length, start, end] = [30_000, 0, 1];
const chain = Array.from({ length }, (_, at) => ({ id: at + 1, parent_id: at, start, end }));
const deepest = inOrder(chain).at(-1).depth;
console.log(JSON.stringify([...trees.map((spans) => inOrder(spans).map(line)), deepest]));
"""


def span(id: str, parent: str | None, start: float, end: float = 9) -> dict[str, Any]:
    return {"id": id, "parent_id": parent, "start": start, "end": end}


def test_spans_are_rows_of_a_tree_by_their_time(tmp_path: Path) -> None:
    trees = [
        [span("b", "t", 3), span("a", "t", 2), span("t", "root", 1), span("root", None, 0)],
        [span("lost", "gone", 1), span("below", "lost", 2), span("root", None, 0)],
        [span("own", "own", 0)],
        [span("x", "y", 0), span("y", "x", 1), span("root", None, 0)],
        [span("inner", "outer", 0, 1), span("outer", None, 0, 2)],
        [],
    ]
    assert run_in_node(tmp_path, ORDER, [json.dumps(trees)]) == [
        ["root", "  t", "    a", "    b"],
        ["root", "lost?", "  below"],
        ["own"],
        ["root", "x", "  y"],
        ["outer", "  inner"],
        [],
        29_999,
    ]


FILTERS = """
import { choices, nameOf, passes } from "./filter_kinds.js";
import { scoreStats } from "./stats.js";
const [rows, filters] = JSON.parse(process.argv[2]);
const run = { rows, scoreNames: ["exact"], failed: 1 };
console.log(JSON.stringify({
    passed: filters.map((filter) => rows.flatMap((row, at) => (passes(filter, row) ? [at] : []))),
    stats: scoreStats(run).map(({ name, count, failed, none }) => [name, count, failed, none]),
    texts: choices(run).flatMap(({ filters }) => filters.map(({ text }) => text)),
}));
"""
ROWS: list[dict[str, Any]] = [
    {"state": "done", "scores": {"exact": {"score": 0}}, "tags": ["a"], "metadata": {"n": 1}},
    {"state": "done", "scores": {"exact": {"score": 0.1}}, "metadata": {"n": 2}},
    {"state": "done", "scores": {"exact": {"score": 1}}, "metadata": {"__proto__": "x"}},
    {"state": "done", "scores": {}, "scorerErrors": {"exact": "E: no", "constructor": "E"}},
    {"state": "done", "scores": {"exact": {"score": None}}},
    {"state": "error", "error": "E", "scores": {}},
    {"state": "done", "scores": {}, "classifications": {"size": [{"id": "s", "label": "S"}]}},
]
FILTERED: list[tuple[dict[str, Any], list[int]]] = [
    ({"kind": "score", "name": "exact", "from": 0, "to": 0.1}, [0]),
    ({"kind": "score", "name": "exact", "from": 0.1, "to": 0.2}, [1]),
    ({"kind": "score", "name": "exact", "from": 0.9, "to": 1}, [2]),
    ({"kind": "score", "name": "exact", "from": 0, "to": 1}, [0, 1, 2]),
    ({"kind": "scorer", "name": "exact"}, [3]),
    ({"kind": "scorer", "name": "constructor"}, [3]),
    ({"kind": "scorers", "name": ""}, [3]),
    ({"kind": "unscored", "name": "exact"}, [4, 6]),
    ({"kind": "task", "name": ""}, [5]),
    ({"kind": "state", "name": "error"}, [5]),
    ({"kind": "tag", "name": "a"}, [0]),
    ({"kind": "metadata", "name": "n", "value": "1"}, [0]),
    ({"kind": "label", "name": "size", "value": "S"}, [6]),
]


def test_filters_choose_cases_and_scorers_that_failed_are_counted(tmp_path: Path) -> None:
    given = json.dumps([ROWS, [each for each, _ in FILTERED]])
    found = run_in_node(tmp_path, FILTERS, [given])
    for (each, wanted), passed in zip(FILTERED, found["passed"], strict=True):
        assert passed == wanted, each
    assert found["stats"] == [["exact", 3, 1, 2], ["constructor", 0, 1, 5]]
    assert "state: done (6)" in found["texts"]
    assert "exact failed (1)" in found["texts"]
    assert "n = 1 (1)" in found["texts"]


TOKENS = """
import { dollars, spread, tokensInWords } from "./metrics.js";
const used = { prompt_tokens: 1200, completion_tokens: 34, tokens: 1234, estimated_cost: 0.5 };
console.log(JSON.stringify([
    tokensInWords(used),
    tokensInWords({ tokens: 7 }), tokensInWords({ duration: 1 }), dollars(12.3), dollars(0.00123),
    spread([]), spread([3, 1, 2, 10]),
]));
"""


def test_tokens_costs_and_durations_are_put_into_words(tmp_path: Path) -> None:
    assert run_in_node(tmp_path, TOKENS) == [
        "1,200 in, 34 out, $0.500",
        "7 tokens",
        "",
        "$12.30",
        "$0.0012",
        None,
        {"p50": 2, "p95": 10, "total": 16, "count": 4},
    ]


REPORTED = """
import { Run } from "./run.js";
const run = new Run("e", {}, null);
run.handle("case_start", JSON.stringify({ id: "a", index: 0, trial_index: 0, input: 1 }));
const report = (event, data) => run.handle("progress", JSON.stringify({ id: "a", event, data }));
report("console", "one");
report("progress", "two");
report("done", "");
report("text_delta", "streamed");
for (let at = 0; at < 1000; at++) report("console", "x".repeat(1000));
run.handle("progress", JSON.stringify({ id: "a", event: "error", data: "ValueError: no" }));
const failure = { error: "E: no", error_place: "a.py:1 in f: raise", error_stack: "Traceback" };
run.handle("case_result", JSON.stringify({ id: "a", scores: {}, duration: 1, ...failure }));
const [{ messages, text, errorPlace, errorStack }] = run.rows;
const size = messages.reduce((sum, each) => sum + each.text.length, 0);
const kept = [messages.slice(0, 2), messages.at(-1).kind, size < 60_000];
console.log(JSON.stringify([...kept, text, errorPlace, errorStack]));
"""


def test_what_a_task_reports_is_kept_up_to_a_limit(tmp_path: Path) -> None:
    first = [{"kind": "console", "text": "one"}, {"kind": "progress", "text": "two"}]
    assert run_in_node(tmp_path, REPORTED) == [
        first,
        "cut",
        True,
        "streamed",
        "a.py:1 in f: raise",
        "Traceback",
    ]


SOUND = """
import { spansOf } from "./spans.js";
const rows = JSON.parse(process.argv[2]);
const store = { spans: async () => ({ spans: [{ id: "a", start: 0, end: 1 }], leftOut: 4 }) };
const shown = { run: { id: "r", state: "finished" }, store };
const found = await Promise.all(rows.map((row) => spansOf(shown, row)));
const short = ({ spans, leftOut }) => [spans.map(({ id }) => id), leftOut];
console.log(JSON.stringify(found.map((each) => each && short(each))));
"""


def test_spans_are_those_of_the_file_or_else_of_the_database(tmp_path: Path) -> None:
    good = {"id": "b", "start": 0, "end": 1}
    rows: list[dict[str, Any]] = [
        {"state": "done", "spans": [good], "spansCut": 2},
        {"state": "done", "spans": [None, good, {"id": 7}, {**good, "end": "x"}, []]},
        {"state": "done", "spans": [7]},
        {"state": "done", "spans": []},
        {"state": "done"},
        {"state": "running"},
    ]
    assert run_in_node(tmp_path, SOUND, [json.dumps(rows)]) == [
        [["b"], 2],
        [["b"], 4],
        None,
        None,
        [["a"], 4],
        None,
    ]

"""Tasks: what they are given, what they report and return, and how they fail.

From https://www.braintrust.dev/docs/evaluate/remote-evals, .../evaluate/advanced-evaluations and
the reference of ``EvalHooks`` (https://www.braintrust.dev/docs/sdks/python/versions/0.48.1):

- a task is a plain or an ``async`` function of the input, or of the input and hooks;
- ``hooks.expected`` is the case's expected output; ``hooks.metadata`` and ``hooks.tags`` are the
  case's and may be changed, which scorers and the trace then see;
- ``hooks.span`` takes what is logged on it; ``hooks.meta()``, which is deprecated, adds metadata;
- ``hooks.report_progress`` shows an event in the Playground, of one of eight kinds;
- a task that fails is recorded with its case, and the other cases go on.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from .outcome import PLAYGROUND, Pair, cases, normal_summary

pytestmark = pytest.mark.official

KINDS = ["text_delta", "reasoning_delta", "json_delta", "error", "console", "start", "done"]
KINDS += ["progress"]


def event(kind: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"format": "code", "output_type": "completion", "event": kind, "data": data, **more}


# --- The events of a case ---


@pytest.mark.parametrize("evaluator", ["echo", "async echo"])
def test_plain_and_async_tasks_stream_the_same_outputs(pair: Pair, evaluator: str) -> None:
    official, ours = pair.run(evaluator, cases("a", {"b": [1]}, None, 0, ""))
    assert official.cases == ours.cases
    assert len(official.outputs) == 5
    assert official.kinds == ours.kinds == ["summary", "done"]
    assert official.scores == ours.scores == {"exact": 1}


def test_each_event_has_the_same_fields(pair: Pair) -> None:
    outcomes = pair.run("echo", cases("a"))
    official, ours = (each.payloads for each in outcomes)
    assert official == ours[:1]
    assert all(isinstance(each["id"], str) for outcome in outcomes for each in outcome.progress)


def test_each_case_ends_with_an_event_done_under_ours_alone(pair: Pair) -> None:
    official, ours = pair.run("flaky", cases("a", "bad"))
    assert "done" not in {each["event"] for each in official.progress}
    last = {each["id"]: each for each in ours.progress}
    assert [(each["event"], each["data"]) for each in last.values()] == [("done", "")] * 2


@pytest.mark.parametrize("evaluator", ["reporting", "async reporting"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "done"])
def test_progress_of_every_kind_is_sent_alike_before_the_output(
    pair: Pair, evaluator: str, kind: str
) -> None:
    reported = [event(kind, "first"), event(kind, "second\nline")]
    official, ours = pair.run(evaluator, [{"input": reported}])
    assert official.cases == ours.cases
    assert official.cases == [
        [(kind, "first"), (kind, "second\nline"), ("json_delta", "done")],
    ]
    assert official.payloads == ours.payloads[:-1]


def test_a_reported_end_is_sent_alike(pair: Pair) -> None:
    official, ours = pair.run("async reporting", [{"input": [event("done", "ended")]}])
    assert official.cases == ours.cases == [[("done", "ended"), ("json_delta", "done")]]


def test_other_formats_and_types_of_output_are_sent_alike(pair: Pair) -> None:
    reported = [event("console", "x", format="llm", output_type="score")]
    official, ours = pair.run("reporting", [{"input": reported}])
    assert official.payloads == ours.payloads[:-1]


def test_what_a_task_omits_of_an_event_is_missing_officially_and_filled_in_by_ours(
    pair: Pair,
) -> None:
    official, ours = pair.run("reporting", [{"input": [{"event": "text_delta", "data": "x"}]}])
    assert "format" not in official.payloads[0]
    assert ours.payloads[0] == {
        **official.payloads[0],
        "format": "code",
        "output_type": "completion",
    }


def test_data_that_is_no_text_is_sent_as_it_is_officially_and_as_json_text_by_ours(
    pair: Pair,
) -> None:
    official, ours = pair.run("reporting", [{"input": [event("console", {"a": [1]})]}])
    assert official.progress[0]["data"] == {"a": [1]}
    assert json.loads(ours.progress[0]["data"]) == {"a": [1]}


def test_an_unknown_kind_of_event_is_sent_officially_and_an_error_of_its_task_under_ours(
    pair: Pair,
) -> None:
    official, ours = pair.run("reporting", [{"input": [event("unheard-of", "x")]}])
    assert official.cases == [[("unheard-of", "x"), ("json_delta", "done")]]
    assert ours.outputs == []
    assert "'unheard-of'" in ours.errors[0]


# --- Failures ---


@pytest.mark.parametrize("evaluator", ["flaky", "async flaky"])
def test_other_cases_go_on_and_a_failed_one_is_reported_by_ours_alone(
    pair: Pair, evaluator: str
) -> None:
    official, ours = pair.run(evaluator, cases("a", "bad", "b"))
    started = ("text_delta", "started")
    assert [started] in official.cases
    assert [started, ("error", "ValueError: first line\nsecond line")] in ours.cases
    assert official.outputs == ours.outputs == ["a", "b"]
    assert official.scores == ours.scores == {"exact": 1}
    assert official.kinds == ours.kinds == ["summary", "done"]


def test_a_failure_is_recorded_alike_with_what_the_task_did_before_it(pair: Pair) -> None:
    pair.run("flaky", cases("bad"))
    for name in ("eval", "task"):
        (official,), (ours,) = pair.recorded(name)
        assert "ValueError: first line\nsecond line" in official["error"]
        assert ours["error"] == "ValueError: first line\nsecond line"
        assert official["output"] is ours["output"] is None
    (official,), (ours,) = pair.recorded("eval")
    assert official["tags"] == ours["tags"] == ["tagged before it failed"]


def test_a_task_of_one_argument_fails_silently_officially_and_runs_under_ours(pair: Pair) -> None:
    official, ours = pair.run("one argument", cases("a"))
    assert (official.cases, official.scores) == ([], {})
    assert (ours.outputs, ours.scores) == (["a"], {"exact": 1})
    (recorded,), _ = pair.recorded("eval")
    assert "takes 1 positional argument but 2 were given" in recorded["error"]


# --- Outputs ---


@pytest.mark.parametrize("value", ["text", "nested"])
def test_what_json_can_hold_is_sent_alike(pair: Pair, value: str) -> None:
    official, ours = pair.run("values", [{"input": value}])
    assert official.cases == ours.cases
    assert len(official.outputs) == 1


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("bytes", "café"),
        ("set", [1]),
        ("dataclass", {"x": 1, "y": 2.5}),
        ("model", {"text": "yes"}),
        ("datetime", "2026-01-02T03:04:05+00:00"),
        ("decimal", "1.10"),
    ],
)
def test_what_json_cannot_hold_fails_silently_officially_and_is_sent_by_ours(
    pair: Pair, value: str, sent: Any
) -> None:
    official, ours = pair.run("values", [{"input": value}])
    assert official.cases == []
    assert ours.outputs == [sent]
    (recorded,), _ = pair.recorded("eval")
    assert "is not JSON serializable" in recorded["error"]


def test_not_a_number_is_no_json_officially_and_text_under_ours(pair: Pair) -> None:
    official, ours = pair.run("values", [{"input": "nan"}])
    assert official.progress[0]["data"] == "[NaN, Infinity, null]"
    assert ours.outputs == [["NaN", "Infinity", None]]


# --- Hooks ---


CASE = {"input": 1, "expected": "e", "metadata": {"m": 1}, "tags": ["t"]}


@pytest.mark.parametrize("case", [CASE, {"input": 1}], ids=["full", "bare"])
def test_hooks_have_what_the_case_has(pair: Pair, case: dict[str, Any]) -> None:
    official, ours = pair.run("hooked", [case])
    assert official.cases == ours.cases
    assert official.outputs == [
        {
            "expected": case.get("expected"),
            "metadata": case.get("metadata", {}),
            "tags": case.get("tags", []),
            "trial_index": 0,
        }
    ]


def test_what_a_task_changes_is_seen_by_scorers_and_recorded_alike(pair: Pair) -> None:
    pair.run("hooked", [CASE])
    changed = {"metadata": {"m": 1, "added": True}, "tags": ["t", "added"]}
    for shown in pair.recorded("shown"):
        assert shown[0]["metadata"] == changed
    for (case,) in pair.recorded("eval"):
        assert {key: case[key] for key in changed} == changed
        assert case["expected"] == "e"


def test_tags_that_take_the_place_of_the_cases_are_recorded_beside_them_officially(
    pair: Pair,
) -> None:
    official, ours = pair.run("retagged", [{"input": ["x"], "tags": ["t"]}])
    assert official.cases == ours.cases
    for shown in pair.recorded("shown"):
        assert shown[0]["metadata"]["tags"] == ["x"]
    (of_official,), (of_ours,) = pair.recorded("eval")
    assert (sorted(of_official["tags"]), of_ours["tags"]) == (["t", "x"], ["x"])


def test_text_in_place_of_tags_ends_the_run_officially_and_fails_its_case_under_ours(
    pair: Pair,
) -> None:
    official, ours = pair.run("retagged", [{"input": "text"}, {"input": ["x"]}])
    assert official.kinds == ["error", "done"]
    assert official.failure == "duplicate tag: t"
    assert ours.kinds == ["summary", "done"]
    assert "hooks.tags must be a list of strings" in ours.errors[0]


def test_what_is_logged_on_the_span_of_the_hooks_is_recorded_with_the_task(pair: Pair) -> None:
    official, ours = pair.run("spanned", cases("a"))
    assert official.cases == ours.cases
    for (task,) in pair.recorded("task"):
        assert task["metadata"] == {"from": "hooks.span"}


def test_the_deprecated_meta_adds_metadata_alike(pair: Pair) -> None:
    official, ours = pair.run("told", cases("a"))
    assert official.outputs == ours.outputs == [{"told": True}]
    for (case,) in pair.recorded("eval"):
        assert case["metadata"] == {"told": True}


def test_the_hooks_are_also_a_dict_alike(pair: Pair) -> None:
    official, ours = pair.run("hooks as dict", [CASE])
    assert official.outputs == ours.outputs == [[{"m": 1}, "e", 0]]


def test_the_result_without_a_stream_is_the_same_summary(pair: Pair) -> None:
    body = {"name": "echo", "data": {"data": cases("a")}, "parent": PLAYGROUND}
    official, ours = (
        normal_summary(each.post({**body, "stream": False}).json())
        for each in (pair.official, pair.ours)
    )
    assert official.pop("metrics") == {}
    assert ours.pop("metrics").keys() == {"duration"}
    assert official == ours
    assert official["scores"]["exact"]["score"] == 1

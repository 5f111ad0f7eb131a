"""A run's events as messages, and its end as a summary."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from typing import Any

import pytest

from flask_braintrust_evals import EvalCase
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseProgress,
    CaseStarted,
    Event,
    Idle,
    RunFinished,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.engine.values.summary import RunSummary, ScoreSummary
from flask_braintrust_evals.runs.experiments.comparison import Comparison
from flask_braintrust_evals.serialization.json_writing import encoded
from flask_braintrust_evals.web.answers.wire import (
    DONE,
    LARGE,
    Message,
    as_stream,
    case_message,
    error_message,
    summary_body,
)
from tests.web.support import parse_events

ORIGIN = {"object_type": "dataset", "object_id": "d", "id": "r", "_xact_id": "7", "created": "now"}
CASE = EvalCase("in")


def ref(origin: dict[str, Any] | None = None) -> CaseRef:
    return CaseRef("0123456789abcdef", 0, 0, origin)


def message_of(event: Event, name: str = "greeter") -> Message:
    message = case_message(event, name)
    assert message is not None
    return message


def bodies(event: Event, name: str = "greeter") -> list[Any]:
    message = case_message(event, name)
    if message is None:
        return []
    assert message.event == "progress"
    return [json.loads(message.data)]


def progress(event: str, data: str) -> dict[str, Any]:
    return {
        "id": "0123456789abcdef",
        "object_type": "task",
        "name": "greeter",
        "format": "code",
        "output_type": "completion",
        "event": event,
        "data": data,
    }


@pytest.mark.parametrize(
    "event", [CaseStarted(ref(), CASE), Idle(), RunFinished(RunSummary())], ids=["", "", ""]
)
def test_internal_events_are_not_sent_to_clients(event: Event) -> None:
    assert bodies(event) == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CaseError("ValueError", "no such key", "Traceback: line 1"), "ValueError: no such key"),
        (CaseError("KeyboardInterrupt", ""), "KeyboardInterrupt"),
        (CaseError("ValueError", '"quoted"\nlines'), 'ValueError: "quoted"\nlines'),
    ],
    ids=["message", "no message", "lines"],
)
def test_a_failed_case_has_its_message_as_plain_text_and_no_stack(
    error: CaseError, text: str
) -> None:
    assert bodies(TaskFinished(ref(), None, error)) == [progress("error", text)]


@pytest.mark.parametrize("output", ['{"a":[1,null]}', '"text"', "null", "0", '""'])
def test_an_output_is_json_text(output: str) -> None:
    assert bodies(TaskFinished(ref(), output.encode(), None)) == [progress("json_delta", output)]


BITS = ('a"b', "\\", '\\"', "\n", "größe 🎈 \u2028", "\x00\x1f", '"data":"', "</script>")


@pytest.mark.parametrize("bit", BITS)
@pytest.mark.parametrize("origin", [None, ORIGIN], ids=["without origin", "with origin"])
@pytest.mark.parametrize("name", ["greeter", 'a "data":"" b'])
def test_a_large_output_is_sent_as_a_small_one_is(
    bit: str, origin: dict[str, Any] | None, name: str
) -> None:
    def sent(text: str) -> tuple[Message, list[tuple[str, Any]]]:
        output = encoded({"text": text, "bit": bit})
        message = message_of(TaskFinished(ref(origin), output, None), name)
        (event,) = parse_events(b"".join(as_stream([message])))
        fields = json.loads(event.data)
        assert json.loads(fields["data"]) == {"text": text, "bit": bit}
        assert event.type == "progress"
        return message, [*(fields | {"data": ""}).items()]

    small, large = sent(bit), sent(bit * LARGE)
    assert (small[0].is_large, large[0].is_large) == (False, True)
    assert small[1] == large[1], "the same fields, in the same order"


@pytest.mark.parametrize("text", ["x" * 8_000_000, '\\"' * 2_000_000, "🎈" * 2_000_000])
def test_a_large_output_is_not_held_once_more_while_it_is_sent(text: str) -> None:
    output = encoded(text)
    tracemalloc.start()
    try:
        message = message_of(TaskFinished(ref(), output, None))
        assert sum(map(len, as_stream([message]))) > len(output)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_messages_keep_their_order_whatever_their_size() -> None:
    sizes = (1, LARGE, 1, 1, 2 * LARGE, LARGE, 1)
    results = [TaskFinished(ref(), b'"%b"' % (b"x" * size), None) for size in sizes]
    messages = [message_of(each) for each in results]
    pieces = list(as_stream(messages))
    read = [json.loads(event.data)["data"] for event in parse_events(b"".join(pieces))]
    assert [len(data) - 2 for data in read] == list(sizes)
    assert b"" not in pieces, "an empty piece would end the answer"
    assert b"heartbeat" not in b"".join(pieces)


def test_where_there_is_no_message_there_is_a_heartbeat() -> None:
    assert list(as_stream([])) == [b": heartbeat\n\n"]


def test_a_finished_case_is_done_whether_it_failed_or_not() -> None:
    for error in (None, CaseError("ValueError", "no")):
        result = CaseResult(ref(), CASE, error=error)
        assert bodies(CaseFinished(result)) == [progress("done", "")]


def test_what_a_task_reports_is_filled_in() -> None:
    event = {"format": "llm", "output_type": "any", "event": "text_delta", "data": "a"}
    (body,) = bodies(CaseProgress(ref(), event))
    assert body == {**progress("text_delta", "a"), "format": "llm", "output_type": "any"}


@pytest.mark.parametrize(
    "make",
    [
        lambda ref: CaseProgress(ref, {"event": "text_delta", "data": "a"}),
        lambda ref: TaskFinished(ref, b"1", None),
        lambda ref: TaskFinished(ref, None, CaseError("E", "")),
        lambda ref: CaseFinished(CaseResult(ref, CASE)),
    ],
    ids=["progress", "output", "error", "done"],
)
def test_the_origin_is_in_every_event_of_a_case_or_absent(make: Any) -> None:
    (with_origin,) = bodies(make(ref(ORIGIN)))
    (without,) = bodies(make(ref(None)))
    assert with_origin.pop("origin") == ORIGIN
    assert without == with_origin


@pytest.mark.parametrize("text", ["plain", "", 'with "quotes"\nand lines', "größe \u2028"])
def test_a_failed_run_has_its_message_as_a_json_string(text: str) -> None:
    message = error_message(text)
    assert message.event == "error"
    assert json.loads(message.data) == text


def test_the_last_message_is_done_and_empty() -> None:
    assert Message("done", b"") == DONE


# --- The summary ---

DESCRIPTION = {"projectName": "Geo", "experimentName": "run"}


def summary(**comparison: Any) -> dict[str, Any]:
    run = RunSummary(scores={"exact": ScoreSummary("exact", 1.5, 2)}, cases=2)
    return summary_body(DESCRIPTION, run, Comparison.of_answer(comparison), 0)


def test_a_run_without_scores_has_an_empty_summary() -> None:
    assert summary_body(DESCRIPTION, RunSummary(cases=1), Comparison(), 0) == {
        **DESCRIPTION,
        "scores": {},
        "metrics": {},
        "comparison": {"status": "success", "scores": {}, "metrics": {}},
    }


def test_a_score_is_the_mean_of_the_cases_that_have_it() -> None:
    scores = {"exact": {"name": "exact", "score": 0.75, "improvements": 0, "regressions": 0}}
    assert summary() == {
        **DESCRIPTION,
        "scores": scores,
        "metrics": {},
        "comparison": {"status": "success", "scores": scores, "metrics": {}},
    }


def test_a_score_that_no_case_has_is_omitted() -> None:
    run = RunSummary(scores={"none": ScoreSummary("none"), "zero": ScoreSummary("zero", 0.0, 1)})
    body = summary_body({}, run, Comparison(), 0)
    assert body["scores"] == {
        "zero": {"name": "zero", "score": 0.0, "improvements": 0, "regressions": 0}
    }


def test_a_score_that_no_case_has_is_a_warning() -> None:
    run = RunSummary()
    run.add({"none": None, "zero": 0.0}, False, ())
    assert summary_body({}, run, Comparison(), 0)["warning"] == "no case has a score for 'none'"


def test_failures_are_counted_where_there_are_any() -> None:
    run = RunSummary(cases=3, failed=2, scorer_errors={"exact": 1})
    body = summary_body({}, run, Comparison(), 0)
    assert body["errors"] == {"cases": 2, "scorers": {"exact": 1}}
    only_scorers = summary_body({}, RunSummary(scorer_errors={"exact": 1}), Comparison(), 0)
    assert only_scorers["errors"] == {"cases": 0, "scorers": {"exact": 1}}
    assert "errors" not in summary()


def test_lost_spans_are_counted_where_there_are_any() -> None:
    assert summary_body({}, RunSummary(), Comparison(), 3)["lostSpans"] == 3
    assert "lostSpans" not in summary()


def test_a_comparison_is_sent_with_our_own_means() -> None:
    body = summary(
        comparison_experiment_name="before",
        scores={
            "exact": {"score": 0.1, "diff": 0.25, "improvements": 3, "regressions": 1},
            "logged by the task": {"name": "logged by the task", "score": 1, "diff": None},
            "of the earlier one": {"name": "of the earlier one", "score": None},
        },
        metrics={
            "duration": {"metric": 1.5, "unit": None, "improvements": None, "more": "fields"},
            "rounds": {"metric": 2, "unit": "laps", "diff": -1, "improvements": "many"},
            "of the earlier one": {"metric": None, "unit": "s"},
            "text": {"metric": "1.5", "unit": "s"},
        },
    )
    scores = {
        "exact": {
            "name": "exact",
            "score": 0.75,
            "improvements": 3,
            "regressions": 1,
            "diff": 0.25,
        },
        "logged by the task": {
            "name": "logged by the task",
            "score": 1,
            "improvements": 0,
            "regressions": 0,
        },
    }
    none = {"improvements": 0, "regressions": 0}
    metrics = {
        "duration": {"name": "duration", "metric": 1.5, "unit": "", **none},
        "rounds": {"name": "rounds", "metric": 2, "unit": "laps", "diff": -1, **none},
    }
    assert body == {
        **DESCRIPTION,
        "comparisonExperimentName": "before",
        "scores": scores,
        "metrics": metrics,
        "comparison": {"status": "success", "scores": scores, "metrics": metrics},
    }


def test_a_comparison_that_could_not_be_had_says_so_beside_our_own_means() -> None:
    run = RunSummary(scores={"exact": ScoreSummary("exact", 1.5, 2)}, cases=2)
    body = summary_body(DESCRIPTION, run, Comparison(skipped="no answer"), 0)
    assert body["comparison"] == {"status": "skipped", "reason": "no answer"}
    assert body["scores"]["exact"]["score"] == 0.75
    assert "comparisonExperimentName" not in body


def test_metrics_are_our_own_means_with_the_changes_that_braintrust_tells() -> None:
    run = RunSummary(cases=2)
    for seconds in (1.0, 2.0):
        run.add({}, False, (), {"duration": seconds, "tokens": 7, "estimated_cost": 0.5}, {})
    run.add({}, False, (), {}, {"tokens": 3})
    compared = {
        "duration": {"metric": 9, "unit": "s", "diff": -0.5, "improvements": 2, "regressions": 0},
        "llm_duration": {"name": "llm_duration", "metric": 0.5, "unit": "s"},
    }
    body = summary_body({}, run, Comparison.of_answer({"metrics": compared}), 0)
    none = {"improvements": 0, "regressions": 0}
    assert body["metrics"] == {
        "duration": {
            "name": "duration",
            "metric": 1.5,
            "unit": "s",
            "improvements": 2,
            "regressions": 0,
            "diff": -0.5,
        },
        "tokens": {"name": "tokens", "metric": 7, "unit": "tok", **none},
        "estimated_cost": {"name": "estimated_cost", "metric": 0.5, "unit": "$", **none},
        "llm_duration": {**compared["llm_duration"], **none},
    }
    assert body["scorerMetrics"] == {
        "tokens": {"name": "tokens", "metric": 3, "unit": "tok", **none}
    }


def test_the_sdk_reads_a_summary_as_its_own() -> None:
    sdk = pytest.importorskip("braintrust.logger")
    run = RunSummary(cases=1)
    run.add({"exact": 1.0}, False, (), {"duration": 0.5}, {})
    for comparison in (Comparison(), Comparison(skipped="no answer")):
        body = summary_body(DESCRIPTION, run, comparison, 0)
        fields = dataclasses.fields(sdk.ExperimentSummary)
        given = {"comparison": body["comparison"]}
        read = sdk.ExperimentSummary.from_dict_deep({**{f.name: None for f in fields}, **given})
        if comparison.skipped:
            assert "Summary skipped: no answer" in str(read)
        else:
            assert read.comparison.scores["exact"].score == 1.0
            assert read.comparison.metrics["duration"].unit == "s"


@pytest.mark.parametrize("diff", [0, 0.0, -0.5])
def test_a_difference_of_nothing_is_a_difference(diff: float) -> None:
    assert summary(scores={"exact": {"diff": diff}})["scores"]["exact"]["diff"] == diff


@pytest.mark.parametrize(
    "comparison",
    [
        {"scores": None, "metrics": None, "comparison_experiment_name": None},
        {"scores": [], "metrics": [], "comparison_experiment_name": 1},
        {"scores": {"exact": None}},
        {"scores": {"exact": {"diff": None, "improvements": None, "regressions": None}}},
        {"scores": {"exact": []}},
        {"scores": {"exact": {"diff": "1", "improvements": [[]], "regressions": True}}},
        {"scores": {"other": {"score": "1"}}},
        {"metrics": {"other": {"metric": [1]}}},
        {"unknown": 1},
    ],
)
def test_a_comparison_that_says_nothing_changes_nothing(comparison: dict[str, Any]) -> None:
    assert summary(**comparison) == summary()

"""Orders and reports carry what they are made from."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging.messages import MessageError, MessageWriter
from flask_braintrust_evals.distribution.messaging.orders import (
    CaseOrder,
    RecordingOrder,
    RunOrder,
    order_content,
    read_address,
    read_order,
)
from flask_braintrust_evals.distribution.messaging.reports import (
    Report,
    add_outcome,
    error_fields,
    error_of,
    failed_outcome,
    outcome_of,
    without_spans,
)
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.engine.values.scores import Score
from flask_braintrust_evals.tracing.span_ids import new_ids

writer = MessageWriter("a secret", 100_000)
RUN = RunOrder(
    "owner",
    "run",
    "evaluator",
    {"the code": "1"},
    {"model": "m"},
    RecordingOrder("project_id:p", {"type": "x"}, "https://example.org", False, False),
    True,
    ["extra"],
    False,
    retries=2,
    twin=1,
)
CASE = CaseOrder(3, 2, 1, 4, new_ids(), {"input": {"a": [1]}, "tags": ["t"], "id": "x"})


def carried(kind: Any, content: Any) -> Any:
    return writer.read(kind, writer.write(kind, content))


def test_orders_are_read_as_they_were_made() -> None:
    run, cases = read_order(carried("order", order_content(RUN, [CASE, CASE])))
    assert run == RUN
    assert cases == [CASE, CASE]
    assert cases[0].eval_case() == EvalCase({"a": [1]}, tags=["t"], id="x")


def test_an_order_without_spans_has_no_recording() -> None:
    plain = dataclasses.replace(RUN, recording=None, parameters=None)
    assert read_order(carried("order", order_content(plain, [CASE])))[0] == plain


def test_a_case_is_in_no_repr() -> None:
    assert "input" not in repr(CASE)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"cases": [{}]},
        {"cases": None},
        {"recording": {"token": "t"}},
        {"owner": None, "cases": 5},
    ],
)
def test_what_is_no_order_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        read_order({**order_content(RUN, [CASE]), **change})


@pytest.mark.parametrize("content", [None, [], {}, "order", {"version": 1}])
def test_neither_are_other_values_orders(content: Any) -> None:
    with pytest.raises(MessageError):
        read_order(content)


@pytest.mark.parametrize("value", [None, {}, ["started"]])
def test_reports_have_one_form(value: Any) -> None:
    with pytest.raises(MessageError):
        Report.of(value)


def test_fields_of_another_version_are_left_out() -> None:
    content = {"new": 1, **order_content(RUN, [CASE])}
    content["recording"] = {"new": 1, **content["recording"]}
    content["cases"] = [{"new": 1, **each} for each in content["cases"]]
    assert read_order(content) == (RUN, [CASE])
    assert Report.of(["started", "r", 1, 2, None, "new"]) == Report("started", "r", 1, 2)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {"owner": "o", "run": "r"},
        {"owner": "o", "run": ["r"], "cases": []},
        {"owner": "o", "run": "r", "cases": [{"number": "1", "attempt": 1}]},
    ],
)
def test_what_names_no_owner_and_cases_cannot_be_refused(content: Any) -> None:
    with pytest.raises(MessageError):
        read_address(content)


def test_no_field_of_an_order_could_hold_a_token() -> None:
    """Whoever adds a field says here that it is no secret."""
    names = {field.name for field in dataclasses.fields(RunOrder)}
    assert names == {
        "owner",
        "run",
        "evaluator",
        "fingerprint",
        "parameters",
        "recording",
        "usage",
        "reserved_names",
        "error_scores",
        "retries",
        "twin",
        "case_spans",
    }
    assert {field.name for field in dataclasses.fields(RecordingOrder)} == {
        "parent",
        "generation",
        "org_url",
        "keeps_row_ids",
        "stack_traces",
        "attachments",
    }
    assert {field.name for field in dataclasses.fields(CaseOrder)} == {
        "number",
        "attempt",
        "index",
        "trial_index",
        "ids",
        "case",
    }


class Opaque:
    def __str__(self) -> str:
        return "opaque"


def result_with(**fields: Any) -> CaseResult:
    case = EvalCase("in", metadata={"n": 1}, tags=["t"])
    return CaseResult(CaseRef("id", 0, 0, None), case, **fields)


RESULT = result_with(
    scores={"s": Score("s", 0.5, {"why": "because", "n": float("nan")}), "none": Score("none")},
    classifications={"c": [{"id": "x", "label": "X", "metadata": {"o": Opaque()}}]},
    scorer_errors={"b": CaseError("ValueError", "no", "stack"), "a": CaseError("E", "")},
    failed_classifiers={"a"},
    metadata={"n": 2, 3: Opaque(), "large": 2**70, "text": "\ud800"},
    tags=["t", "u"],
    metrics={"duration": 0.25, "tokens": 3},
    scorer_metrics={"estimated_cost": 0.5},
    duration=1.5,
)


def test_outcomes_carry_all_fields_of_a_result() -> None:
    there = result_with(output_data=b"1")
    add_outcome(carried("report", outcome_of(RESULT)), there)

    assert there.scores == {
        "s": Score("s", 0.5, {"why": "because", "n": "NaN"}),
        "none": Score("none"),
    }
    assert there.classifications == {"c": [{"id": "x", "label": "X", "metadata": {"o": "opaque"}}]}
    assert there.scorer_errors == RESULT.scorer_errors
    assert list(there.scorer_errors) == ["b", "a"]
    assert there.scorer_errors["b"].stack == "stack"
    assert there.failed_classifiers == {"a"}
    assert there.metadata == {"n": 2, "3": "opaque", "large": 2**70, "text": "\ufffd"}
    for name in ("tags", "metrics", "scorer_metrics", "duration", "interrupted", "error"):
        assert getattr(there, name) == getattr(RESULT, name), name
    assert there.output_data == b"1"


def test_metadata_that_json_cannot_hold_cost_nothing_else() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    there = result_with()
    add_outcome(carried("report", outcome_of(result_with(metadata={"l": loop, "n": 1}))), there)
    assert there.metadata["n"] == 1
    assert "not serializable" in str(there.metadata["l"])


def test_a_failed_task_stays_failed_and_has_no_scores() -> None:
    failure = CaseError("WorkerError", "the output is too large")
    there = result_with(error=failure)
    add_outcome(outcome_of(RESULT), there)
    assert (there.error, there.scores, there.classifications) == (failure, {}, {})


def test_of_a_reduced_outcome_only_the_failure_counts() -> None:
    there = result_with(metadata={"n": 1}, tags=["t"])
    add_outcome(failed_outcome(CaseError("E", "m")), there)
    assert there.error == CaseError("E", "m")
    assert (there.metadata, there.tags) == ({"n": 1}, ["t"])


def test_spans_that_are_left_out_are_counted() -> None:
    outcome = outcome_of(RESULT, {"name": "eval"}, [{"count": 2}, {"count": 3}])
    left = without_spans(outcome)
    assert (left["root"], left["spans"], left["lost_spans"]) == (None, [], 5)


def test_a_failure_is_carried_with_all_its_fields() -> None:
    names = [field.name for field in dataclasses.fields(CaseError)]
    error = CaseError(*(f"its {name}" for name in names))
    assert error_of(carried("report", error_fields(error))) == error
    assert error_of(carried("report", error_fields(None))) is None

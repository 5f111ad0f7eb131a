"""What is kept of the spans of a case for the client of its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from flask_braintrust_evals.serialization.json_writing import encoded
from flask_braintrust_evals.tracing.case_spans import CaseSpans
from flask_braintrust_evals.tracing.collector import SpanCollector
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.span_keeper import MAX_CASE_BYTES, MAX_SPANS, SpanKeeper

SECOND = 10**9


class Case:
    """A case whose spans are kept. Its root begins at second 100."""

    def __init__(self) -> None:
        self.keeper = SpanKeeper()
        processor = CaseSpanProcessor(install=False)
        self.delivered: list[Any] = []
        collector = SpanCollector(processor, self.delivered.extend, keeper=self.keeper)
        self.tracer: Tracer = collector.tracer
        self.root = self.tracer.start_span("eval", start_time=100 * SECOND)

    def span(self, name: str, parent: Span | None = None, **attributes: Any) -> Span:
        """Start a span one second after the root. ``a__b`` is the attribute ``a.b``."""
        context = set_span_in_context(parent or self.root)
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        return self.tracer.start_span(name, context, attributes=named, start_time=101 * SECOND)

    def add(self, name: str, **attributes: Any) -> None:
        self.span(name, **attributes).end(102 * SECOND)

    def take(self) -> CaseSpans:
        self.root.end(103 * SECOND)
        return self.keeper.take(self.root.get_span_context().trace_id)


def named(spans: CaseSpans, name: str) -> Mapping[str, Any]:
    (found,) = [each for each in spans.spans if each["name"] == name]
    return found


def test_spans_have_their_place_in_the_tree_and_in_the_time_of_the_case() -> None:
    case = Case()
    outer = case.span("task", braintrust__span_attributes='{"type": "task", "name": "task"}')
    case.span("look up", outer).end(101 * SECOND + SECOND // 2)
    outer.end(102 * SECOND)
    spans = case.take()
    inner, task, root = spans.spans
    assert [each["name"] for each in spans.spans] == ["look up", "task", "eval"]
    assert (root["parent_id"], task["parent_id"]) == (None, root["id"])
    assert inner["parent_id"] == task["id"]
    assert [(each["start"], each["end"]) for each in spans.spans] == [(1, 1.5), (1, 2), (0, 3)]
    assert (task["type"], inner["type"]) == ("task", None)
    assert spans.left_out == 0
    assert not any("cut" in each for each in spans.spans)
    assert len(case.delivered) == 3, "they go their usual way, too"


def test_what_braintrust_and_opentelemetry_record_is_read() -> None:
    case = Case()
    case.add(
        "sdk",
        braintrust__span_attributes='{"type": "llm"}',
        braintrust__input_json='[{"role": "user", "content": "hi"}]',
        braintrust__output_json='"ho"',
        braintrust__metadata='{"model": "m"}',
        braintrust__metrics='{"tokens": 3, "time_to_first_token": 0.5}',
    )
    case.add(
        "chat",
        gen_ai__input__messages="[1]",
        gen_ai__output__messages="not JSON",
        gen_ai__request__model="m",
        gen_ai__usage__input_tokens=5,
    )
    case.add("SELECT", db__statement="SELECT 1", db__names=("a", "b"))
    spans = case.take()
    sdk, chat, query = (named(spans, name) for name in ("sdk", "chat", "SELECT"))
    assert sdk["input"] == [{"role": "user", "content": "hi"}]
    assert (sdk["output"], sdk["metadata"]) == ("ho", {"model": "m"})
    assert sdk["metrics"] == {"tokens": 3, "time_to_first_token": 0.5}
    assert (chat["type"], chat["input"], chat["output"]) == ("llm", [1], "not JSON")
    assert chat["metrics"] == {"prompt_tokens": 5}
    assert chat["metadata"]["gen_ai.request.model"] == "m"
    assert query["metadata"] == {"db.statement": "SELECT 1", "db.names": ["a", "b"]}
    assert "input" not in query


def test_a_failure_has_its_text_and_its_stack_which_can_be_taken_out() -> None:
    case = Case()
    span = case.span("failing")
    try:
        raise ValueError("no such thing")
    except ValueError as error:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, "ValueError: no such thing"))
    span.end(102 * SECOND)
    spans = case.take()
    failed = named(spans, "failing")
    assert failed["error"] == "ValueError: no such thing"
    assert 'raise ValueError("no such thing")' in failed["error_stack"]
    bare = named(spans.without_stacks(), "failing")
    assert bare["error"] == "ValueError: no such thing"
    assert "error_stack" not in bare


def test_a_span_with_the_failure_of_another_library_needs_no_text() -> None:
    case = Case()
    span = case.span("failing")
    span.set_status(StatusCode.ERROR)
    span.end()
    assert named(case.take(), "failing")["error"] == "error"


def test_large_values_are_cut_and_marked() -> None:
    case = Case()
    case.add("large", braintrust__input_json=json.dumps("x" * 2_000_000))
    case.add("middle", braintrust__output_json=json.dumps(["x" * 50_000, "y"]))
    spans = case.take()
    large, middle = named(spans, "large"), named(spans, "middle")
    assert large["cut"]
    assert "[cut: " in large["input"]
    assert middle["cut"]
    assert middle["output"][1] == "y"


def test_a_case_has_a_limit_and_keeps_the_form_of_its_trace() -> None:
    case = Case()
    value = json.dumps("x" * 30_000)
    for number in range(80):
        case.add(
            f"span {number}", braintrust__input_json=value, braintrust__metrics='{"tokens": 1}'
        )
    case.add("task", braintrust__span_attributes='{"type": "task"}')
    spans = case.take()
    assert len(spans.spans) == 82
    assert spans.size < 1.5 * MAX_CASE_BYTES
    assert named(spans, "span 0")["input"] == "x" * 30_000
    assert "[cut: " in named(spans, "span 10")["input"]
    last = named(spans, "span 79")
    assert "input" not in last
    assert (last["cut"], last["metrics"]) == (True, {"tokens": 1})


@pytest.mark.parametrize("error", ["", "e" * 5_000])
def test_of_very_many_spans_those_of_task_and_scorers_are_kept(error: str) -> None:
    case = Case()
    for number in range(MAX_SPANS + 300):
        span = case.span(f"{number}", braintrust__input_json=json.dumps("x" * 3_000))
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end()
    case.add("task", braintrust__span_attributes='{"type": "task"}')
    case.root.set_attribute("braintrust.span_attributes", '{"type": "eval"}')
    spans = case.take()
    assert 300 <= spans.left_out < MAX_SPANS
    assert len(spans.spans) + spans.left_out == MAX_SPANS + 302
    assert named(spans, "task")["parent_id"] == named(spans, "eval")["id"]
    assert len(encoded(list(spans.spans))) < 3 * MAX_CASE_BYTES


def test_a_user_who_makes_spans_of_the_tasks_type_meets_the_limit_all_the_same() -> None:
    case = Case()
    for number in range(2 * MAX_SPANS):
        case.add(f"{number}", braintrust__span_attributes='{"type": "task"}')
    assert len(case.take().spans) < 1.5 * MAX_SPANS


def test_spans_that_end_after_their_case_are_not_kept_for_good() -> None:
    case = Case()
    late = case.span("late")
    assert len(case.take().spans) == 1
    late.end()
    trace_id = case.root.get_span_context().trace_id
    assert case.keeper.take(trace_id) == CaseSpans()


def test_what_another_process_did_with_a_case_follows_after_it() -> None:
    def span(id: str, parent: str | None, start: float, end: float) -> dict[str, Any]:
        return {"id": id, "parent_id": parent, "name": id, "start": start, "end": end}

    worker = CaseSpans([span("task", "root", 0, 1), span("root", None, 0, 2)], 3, 100)
    owner = CaseSpans([span("judge", "root", -50, -49), span("root", None, -60, 0)], 0, 10)
    joined = worker.followed_by(owner)
    assert [each["id"] for each in joined.spans] == ["task", "root", "judge"]
    assert (joined.spans[-1]["start"], joined.spans[-1]["end"]) == (2, 3)
    assert joined.left_out == 3
    assert worker.followed_by(CaseSpans(owner.spans[1:])).spans == worker.spans
    lost = CaseSpans(left_out=7).followed_by(owner)
    assert (lost.spans, lost.left_out) == (owner.spans, 7)

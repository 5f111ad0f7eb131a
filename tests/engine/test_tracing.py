"""The spans of a case: PROTOCOL.md, section 7."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.executor import CaseJob
from flask_braintrust_evals.engine.tracing.case_trace import CaseTrace
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.events import CaseProgress, CaseStarted
from flask_braintrust_evals.engine.values.scores import Classification, Score

from .support import (
    Spans,
    attribute,
    case_id,
    echo,
    events_of,
    hex_id,
    inputs,
    kinds,
    results_of,
    run_case,
    trace_id,
)

ORIGIN = {
    "object_type": "dataset",
    "object_id": "d",
    "id": "r",
    "_xact_id": "1",
    "created": "2024-05-06T00:00:00Z",
}


def accuracy(output: Any) -> float:
    return 0.5


async def length(output: Any) -> float:
    return 1


def topic(output: Any) -> Any:
    return {"id": "t", "label": "Topic"}


@pytest.fixture
def tracing(spans: Spans) -> EvalTracer:
    return EvalTracer(
        spans.tracer,
        attributes={"braintrust.parent": "playground_id:p"},
        span_attributes={"generation": 7},
    )


def throw(error: BaseException) -> Any:
    raise error


# The tree


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_case_is_a_tree_of_spans(is_async: bool, spans: Spans, tracing: EvalTracer) -> None:
    async def task(input: Any) -> Any:
        return input

    evaluator = Evaluator(
        "e", task if is_async else echo, scores=[accuracy, length], classifiers=[topic]
    )
    run_case(evaluator, tracer=tracing)

    assert spans.tree() == {"eval": {"task": {}, "accuracy": {}, "length": {}, "topic": {}}}


def test_a_task_that_fails_has_no_spans_of_scorers(spans: Spans, tracing: EvalTracer) -> None:
    evaluator = Evaluator("e", lambda input: throw(ValueError()), scores=[accuracy])
    run_case(evaluator, tracer=tracing)

    assert spans.tree() == {"eval": {"task": {}}}


def test_every_case_and_trial_is_a_trace_of_its_own(spans: Spans, tracing: EvalTracer) -> None:
    evaluator = Evaluator("e", echo, scores=[accuracy])
    events_of(evaluator, inputs(1, 2, 3), trial_count=2, runner={"tracer": tracing})

    traces = {trace_id(span) for span in spans.named("eval")}
    assert len(traces) == 6
    assert all(span.parent is None for span in spans.named("eval"))
    for one in traces:
        names = [s.name for s in spans.all if trace_id(s) == one]
        assert sorted(names) == ["accuracy", "eval", "task"]


def test_a_case_belongs_to_no_span_of_its_caller(spans: Spans, tracing: EvalTracer) -> None:
    with spans.tracer.start_as_current_span("request"):
        events_of(Evaluator("e", echo), inputs(1), runner={"tracer": tracing})

    assert spans.one("eval").parent is None


def test_a_case_links_to_the_span_that_asked_for_its_run(spans: Spans) -> None:
    asked = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))

    run_case(Evaluator("e", echo), tracer=EvalTracer(spans.tracer, link=asked))

    (link,) = spans.one("eval").links
    assert link.context == asked
    assert spans.one("task").links == ()


def test_a_case_without_such_a_span_has_no_link(spans: Spans) -> None:
    run_case(Evaluator("e", echo), tracer=EvalTracer(spans.tracer))

    assert spans.one("eval").links == ()


def test_the_ids_of_events_are_the_ids_of_eval_spans(spans: Spans, tracing: EvalTracer) -> None:
    def task(input: Any, hooks: Any) -> Any:
        hooks.report_progress({"data": "half"})
        return input

    events = events_of(Evaluator("e", task), inputs("a", "b", "c"), runner={"tracer": tracing})

    of_spans = {attribute(span, "input_json"): hex_id(span) for span in spans.named("eval")}
    of_cases = {
        event.case.input: event.ref.id for event in events if isinstance(event, CaseStarted)
    }
    assert of_cases == of_spans
    of_progress = {event.ref.id for event in events if isinstance(event, CaseProgress)}
    assert of_progress == {case_id(event) for event in events[:-1]} == set(of_spans.values())


# Names, types and attributes


def test_every_span_says_what_it_is(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", echo, scores=[accuracy], classifiers=[topic]), tracer=tracing)

    said = {span.name: attribute(span, "span_attributes") for span in spans.all}
    assert said["eval"] == {"type": "eval", "name": "eval", "generation": 7}
    assert said["task"] == {"type": "task", "name": "task", "generation": 7}
    assert said["accuracy"] == {
        "type": "score",
        "name": "accuracy",
        "purpose": "scorer",
        "generation": 7,
    }
    assert (said["topic"]["type"], said["topic"]["name"]) == ("classifier", "topic")
    assert said["topic"]["generation"] == 7


@pytest.mark.parametrize("generation", ["v1", 3, {"a": [1]}, None], ids=repr)
def test_the_generation_may_be_anything(generation: Any, spans: Spans) -> None:
    run_case(
        Evaluator("e", echo),
        tracer=EvalTracer(spans.tracer, span_attributes={"generation": generation}),
    )

    assert attribute(spans.one("eval"), "span_attributes")["generation"] == generation


def test_what_belongs_to_the_run_cannot_change_what_a_span_is(spans: Spans) -> None:
    run_case(
        Evaluator("e", echo),
        tracer=EvalTracer(spans.tracer, span_attributes={"type": "llm", "name": "x"}),
    )

    assert attribute(spans.one("eval"), "span_attributes") == {"type": "eval", "name": "eval"}


def test_every_span_names_the_parent(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", echo, scores=[accuracy], classifiers=[topic]), tracer=tracing)

    parents = {(span.attributes or {})["braintrust.parent"] for span in spans.all}
    assert (len(spans.all), parents) == (4, {"playground_id:p"})


def keys(span: ReadableSpan) -> set[str]:
    """What a span has beside what every span has."""
    names = {name.removeprefix("braintrust.") for name in span.attributes or {}}
    return names - {"parent", "span_attributes"}


def test_a_case_is_on_its_spans(spans: Spans, tracing: EvalTracer) -> None:
    case = EvalCase({"q": 1}, {"a": 2}, {"m": 3}, ["t"], "id", ORIGIN)

    run_case(
        Evaluator("e", lambda input: ["out"], scores=[accuracy], classifiers=[topic]),
        case,
        tracer=tracing,
    )

    eval, task = spans.one("eval"), spans.one("task")
    for span in (eval, task):
        assert attribute(span, "input_json") == {"q": 1}
        assert attribute(span, "expected_json") == {"a": 2}
        assert attribute(span, "output_json") == ["out"]
        assert span.status.status_code is StatusCode.UNSET
        assert span.kind is SpanKind.INTERNAL
    assert attribute(eval, "metadata") == {"m": 3}
    assert attribute(eval, "tags") == ("t",)
    assert attribute(eval, "origin") == ORIGIN
    assert attribute(eval, "classifications") == {"topic": [{"id": "t", "label": "Topic"}]}


def test_what_a_case_does_not_have_is_absent(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", echo, scores=[accuracy]), tracer=tracing)

    assert keys(spans.one("eval")) == {"input_json", "expected_json", "output_json"}
    assert keys(spans.one("task")) == {"input_json", "expected_json", "output_json"}
    assert keys(spans.one("accuracy")) == {"output_json", "scores"}


def test_metadata_and_tags_are_those_that_the_task_left(spans: Spans, tracing: EvalTracer) -> None:
    def task(input: Any, hooks: Any) -> None:
        hooks.metadata["new"] = 2
        hooks.tags = ["b"]

    run_case(Evaluator("e", task), EvalCase(1, metadata={"old": 1}, tags=["a"]), tracer=tracing)

    assert attribute(spans.one("eval"), "metadata") == {"old": 1, "new": 2}
    assert attribute(spans.one("eval"), "tags") == ("b",)


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "fails"])
def test_what_is_known_of_a_case_is_set_before_its_task_runs(
    fails: bool, spans: Spans, tracing: EvalTracer
) -> None:
    seen: dict[str, Any] = {}

    def task(input: Any) -> None:
        current = trace.get_current_span()
        assert isinstance(current, ReadableSpan)
        seen.update(json.loads((current.attributes or {})["braintrust.input_json"]))  # type: ignore[arg-type]
        if fails:
            raise ValueError

    run_case(Evaluator("e", task), {"q": 1}, tracer=tracing)

    assert seen == {"q": 1}


@pytest.mark.parametrize(
    ("result", "scores", "output", "metadata"),
    [
        pytest.param(0.5, {"scorer": 0.5}, {"score": 0.5}, None, id="number"),
        pytest.param(None, {"scorer": None}, {"score": None}, None, id="none"),
        pytest.param(
            Score("other", 1, {"why": 1}), {"other": 1.0}, {"score": 1.0}, {"why": 1}, id="score"
        ),
        pytest.param(
            [Score("a", 1, {"why": 1}), Score("b", 0)],
            {"a": 1.0, "b": 0.0},
            {"a": {"score": 1.0}, "b": {"score": 0.0}},
            {"a": {"why": 1}},
            id="several",
        ),
        pytest.param([], {}, {}, None, id="none at all"),
    ],
)
def test_a_scorers_span_has_its_scores(
    result: Any,
    scores: dict[str, Any],
    output: dict[str, Any],
    metadata: Any,
    spans: Spans,
    tracing: EvalTracer,
) -> None:
    def scorer(input: Any) -> Any:
        return result

    run_case(Evaluator("e", echo, scores=[scorer]), tracer=tracing)

    span = spans.one("scorer")
    assert attribute(span, "scores") == scores
    assert attribute(span, "output_json") == output
    assert attribute(span, "metadata") == metadata


def test_scores_are_recorded_under_the_names_they_are_shown_by(
    spans: Spans, tracing: EvalTracer
) -> None:
    extra = ScorerCall("accuracy", lambda: Score("accuracy", 1), (), ())

    run_case(Evaluator("e", echo, scores=[accuracy]), tracer=tracing, extra_scorers=[extra])

    assert attribute(spans.one("accuracy"), "scores") == {"accuracy": 0.5}
    assert attribute(spans.one("accuracy (2)"), "scores") == {"accuracy (2)": 1.0}


@pytest.mark.parametrize(
    ("result", "classifications", "output"),
    [
        (
            Classification("a", label="A"),
            {"classifier": [{"id": "a", "label": "A"}]},
            {"id": "a", "label": "A"},
        ),
        (
            [{"id": "a"}, {"id": "b", "name": "other"}],
            {"classifier": [{"id": "a"}], "other": [{"id": "b"}]},
            {"classifier": {"id": "a"}, "other": {"id": "b"}},
        ),
        (
            [{"id": "a"}, {"id": "b"}],
            {"classifier": [{"id": "a"}, {"id": "b"}]},
            {"classifier": [{"id": "a"}, {"id": "b"}]},
        ),
        (None, None, {}),
    ],
    ids=["one", "several", "several of one name", "none"],
)
def test_a_classifiers_labels_are_on_its_span_and_on_the_case(
    result: Any, classifications: Any, output: Any, spans: Spans, tracing: EvalTracer
) -> None:
    def classifier(input: Any) -> Any:
        return result

    run_case(Evaluator("e", echo, classifiers=[classifier]), tracer=tracing)

    assert attribute(spans.one("classifier"), "output_json") == output
    assert attribute(spans.one("eval"), "classifications") == classifications


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (float("nan"), "NaN"),
        ({1, 2}, [1, 2]),
        ("x\ud800", "x\ufffd"),
        (
            (x for x in "ab"),
            "<not serializable: a generator has no value yet: return what it gives, such as a"
            " list>",
        ),
    ],
    ids=["nan", "set", "lone surrogate", "generator"],
)
def test_values_of_any_kind_are_recorded(
    value: Any, written: Any, spans: Spans, tracing: EvalTracer
) -> None:
    run_case(Evaluator("e", lambda input: 1), EvalCase(value, value), tracer=tracing)

    for span in (spans.one("eval"), spans.one("task")):
        assert attribute(span, "input_json") == written
        assert attribute(span, "expected_json") == written


def test_names_and_tags_with_lone_surrogates_are_recorded(
    spans: Spans, tracing: EvalTracer
) -> None:
    def scorer(output: Any) -> float:
        return 1

    scorer.__name__ = "x\ud800"
    run_case(Evaluator("e", echo, scores=[scorer]), EvalCase(1, tags=["t\ud800"]), tracer=tracing)

    assert attribute(spans.one("x\ufffd"), "scores") == {"x\ufffd": 1}
    assert attribute(spans.one("eval"), "tags") == ("t\ufffd",)


# Failures


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_task_that_fails_is_recorded_with_its_stack(
    is_async: bool, spans: Spans, tracing: EvalTracer
) -> None:
    def task(input: Any, hooks: Any) -> None:
        hooks.metadata["seen"] = True
        throw(ValueError("no\ud800"))

    async def async_task(input: Any, hooks: Any) -> None:
        task(input, hooks)

    case = EvalCase(1, 2, {"m": 1}, ["t"], "id", ORIGIN)
    run_case(Evaluator("e", async_task if is_async else task), case, tracer=tracing)

    for span in (spans.one("task"), spans.one("eval")):
        (event,) = span.events
        assert event.name == "exception"
        attributes = event.attributes or {}
        assert attributes["exception.type"] == "ValueError"
        assert "in throw" in str(attributes["exception.stacktrace"])
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "ValueError: no\ufffd"
        assert attribute(span, "input_json") == 1
        assert attribute(span, "expected_json") == 2
        assert attribute(span, "output_json") is None
    eval = spans.one("eval")
    assert attribute(eval, "metadata") == {"m": 1, "seen": True}
    assert attribute(eval, "tags") == ("t",)
    assert attribute(eval, "origin") == ORIGIN


def test_an_output_that_json_cannot_hold_is_recorded_as_a_failure(
    spans: Spans, tracing: EvalTracer
) -> None:
    run_case(Evaluator("e", lambda input: (x for x in "ab")), tracer=tracing)

    assert attribute(spans.one("task"), "output_json") is None
    assert spans.one("task").status.status_code is StatusCode.ERROR
    assert spans.one("eval").status.status_code is StatusCode.ERROR


def test_what_a_task_recorded_before_it_failed_is_kept(spans: Spans, tracing: EvalTracer) -> None:
    def task(input: Any, hooks: Any) -> None:
        hooks.span.set_attribute("mine", 1)
        with spans.tracer.start_as_current_span("step"):
            throw(SystemExit(1))

    run_case(Evaluator("e", task), tracer=tracing)

    assert (spans.one("task").attributes or {})["mine"] == 1
    assert spans.tree() == {"eval": {"task": {"step": {}}}}


def test_a_scorer_that_fails_is_recorded_where_it_failed(spans: Spans, tracing: EvalTracer) -> None:
    def failing(output: Any) -> Any:
        raise ValueError("no")

    run_case(
        Evaluator("e", echo, scores=[failing, accuracy], classifiers=[]),
        EvalCase(1, metadata={"m": 1}),
        tracer=tracing,
    )

    span = spans.one("failing")
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    assert keys(span) == set()
    assert spans.one("task").status.status_code is StatusCode.UNSET
    assert spans.one("accuracy").status.status_code is StatusCode.UNSET
    assert attribute(spans.one("eval"), "metadata") == {
        "m": 1,
        "scorer_errors": {"failing": "ValueError: no"},
    }


# Spans of the user's own code


def nest(spans: Spans) -> None:
    with spans.tracer.start_as_current_span("outer"), spans.tracer.start_as_current_span("inner"):
        pass


async def nest_async(spans: Spans) -> None:
    with spans.tracer.start_as_current_span("outer"):
        await asyncio.sleep(0)
        with spans.tracer.start_as_current_span("inner"):
            await asyncio.sleep(0)


async def nest_in_task(spans: Spans) -> None:
    await asyncio.create_task(nest_async(spans))


async def nest_in_thread(spans: Spans) -> None:
    await asyncio.to_thread(nest, spans)


ways = pytest.mark.parametrize("way", [nest, nest_async, nest_in_task, nest_in_thread])


@ways
def test_spans_made_in_a_task_are_below_the_task(
    way: Callable[[Spans], Any], spans: Spans, tracing: EvalTracer
) -> None:
    run_case(Evaluator("e", lambda input: way(spans)), tracer=tracing)

    assert spans.tree() == {"eval": {"task": {"outer": {"inner": {}}}}}


@ways
@pytest.mark.parametrize("kind", ["scores", "classifiers"])
def test_spans_made_in_a_scorer_are_below_the_scorer(
    way: Callable[[Spans], Any], kind: str, spans: Spans, tracing: EvalTracer
) -> None:
    def mine(output: Any) -> Any:
        return way(spans)

    evaluator = Evaluator("e", echo, **{kind: [mine]})  # type: ignore[arg-type]
    run_case(evaluator, tracer=tracing)

    assert spans.tree() == {"eval": {"task": {}, "mine": {"outer": {"inner": {}}}}}


def test_spans_of_cases_that_run_at_the_same_time_do_not_mix(
    spans: Spans, tracing: EvalTracer
) -> None:
    async def task(input: Any) -> None:
        await asyncio.sleep(0.001 * (input % 3))
        with spans.tracer.start_as_current_span(f"step {input}"):
            await asyncio.sleep(0.001 * (input % 2))

    events_of(
        Evaluator("e", task), inputs(*range(20)), max_concurrency=10, runner={"tracer": tracing}
    )

    trace_of = {attribute(span, "input_json"): trace_id(span) for span in spans.named("eval")}
    for number in range(20):
        assert trace_id(spans.one(f"step {number}")) == trace_of[number]


def test_no_span_stays_current_after_its_case(spans: Spans, tracing: EvalTracer) -> None:
    # In the worker's thread, which is this one here.

    runner = CaseRunner(Evaluator("e", echo, scores=[accuracy]).plan, Parameters(), tracer=tracing)
    runner.run(CaseJob(EvalCase(1), 0, 0), lambda event: None)

    assert trace.get_current_span() is trace.INVALID_SPAN


def test_every_span_ends_before_the_case_is_told_to_be_done(
    spans: Spans, tracing: EvalTracer
) -> None:
    ended: list[int] = []

    runner = CaseRunner(Evaluator("e", echo, scores=[accuracy]).plan, Parameters(), tracer=tracing)
    runner.run(CaseJob(EvalCase(1), 0, 0), lambda event: ended.append(len(spans.all)))

    assert ended == [0, 1, 3]


def test_a_span_takes_as_long_as_what_it_is_about(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", lambda input: time.sleep(0.02)), tracer=tracing)

    eval, task = spans.one("eval"), spans.one("task")
    assert eval.start_time is not None and eval.end_time is not None
    assert task.start_time is not None and task.end_time is not None
    assert eval.start_time <= task.start_time < task.end_time <= eval.end_time
    assert task.end_time - task.start_time >= 15_000_000


# What scorers see of it


def test_a_scorer_sees_the_spans_of_its_own_case_that_have_ended(spans: Spans) -> None:
    def finished(of_trace: int) -> list[ReadableSpan]:
        return [span for span in spans.all if trace_id(span) == of_trace]

    seen: dict[Any, list[list[str]]] = {}

    def first(input: Any, trace: CaseTrace) -> None:
        seen[input] = [[span.name for span in trace.get_spans()]]

    async def second(input: Any, trace: CaseTrace) -> None:
        seen[input].append([span.name for span in await trace.get_spans(include_scorers=True)])

    def task(input: Any) -> None:
        with spans.tracer.start_as_current_span(f"step {input}"):
            pass

    events_of(
        Evaluator("e", task, scores=[first], classifiers=[second]),
        inputs("a", "b"),
        runner={"tracer": EvalTracer(spans.tracer), "finished_spans": finished},
    )

    assert seen == {
        name: [[f"step {name}", "task"], [f"step {name}", "task", "first"]] for name in "ab"
    }


# No tracer


def test_a_run_without_a_tracer_gives_ids_all_the_same() -> None:
    results = results_of(events_of(Evaluator("e", echo), inputs(1, 2)))

    ids = {result.ref.id for result in results}
    assert len(ids) == 2
    assert all(len(id) == 16 for id in ids)


# The clock


def test_a_clock_that_is_set_meanwhile_costs_no_case_and_no_duration(
    spans: Spans, tracing: EvalTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, hours = time.time_ns, itertools.count()

    def jumping() -> int:
        """An hour back, or an hour ahead, each time that somebody looks."""
        return real() + (3600 if next(hours) % 2 else -3600) * 10**9

    monkeypatch.setattr(time, "time_ns", jumping)
    monkeypatch.setattr(time, "time", lambda: jumping() / 1e9)
    evaluator = Evaluator("e", lambda input: time.sleep(0.02), scores=[lambda output: 1])

    events = events_of(
        evaluator, inputs(*range(8)), runner={"tracer": tracing}, timeout=60, idle_after=5
    )

    assert kinds(events).count("CaseFinished") == 8
    assert kinds(events)[-1] == "RunFinished"
    durations = {
        span.name: ((span.end_time or 0) - (span.start_time or 0)) / 1e9 for span in spans.all
    }
    assert len(spans.all) == 24
    assert 0.02 <= durations["task"] <= durations["eval"] < 10
    assert min(durations.values()) >= 0

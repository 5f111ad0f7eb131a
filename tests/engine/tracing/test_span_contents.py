"""What the spans of a case carry: names, types, attributes, and failures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.scores import Classification, Score
from flask_braintrust_evals.tracing.tracer import RecordingTracer
from tests.engine.support import Spans, accuracy, attribute, echo, run_case, throw, topic

ORIGIN = {
    "object_type": "dataset",
    "object_id": "d",
    "id": "r",
    "_xact_id": "1",
    "created": "2024-05-06T00:00:00Z",
}


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


def test_further_entries_are_those_of_each_span_alone(spans: Spans) -> None:
    tracer = EvalTracer(spans.tracer)
    given: list[dict[str, str] | None] = [{"a": "x"}, {"a": "y"}, {"b": "x"}, None]
    for extra in 2 * given:  # the second time, some are known
        tracer.start("s", "tool", extra=extra).end()

    said = [attribute(span, "span_attributes") for span in spans.all]
    assert list(map(repr, said)) == [
        repr({"type": "tool", "name": "s", **(extra or {})}) for extra in 2 * given
    ]


def test_what_is_set_on_a_span_is_on_no_other_one_of_its_kind() -> None:
    ended: list[ReadableSpan] = []
    tracer = EvalTracer(RecordingTracer(lambda trace_id: None, ended.append))
    for own in ("a", "b", "c"):
        span = tracer.start("s", "tool")
        span.set_attribute(own, "x")
        span.end()

    names = {"a", "b", "c"}
    assert [names & {*(span.attributes or {})} for span in ended] == [{"a"}, {"b"}, {"c"}]


def test_every_span_names_the_parent(spans: Spans, tracing: EvalTracer) -> None:
    run_case(Evaluator("e", echo, scores=[accuracy], classifiers=[topic]), tracer=tracing)

    parents = {(span.attributes or {})["braintrust.parent"] for span in spans.all}
    assert (len(spans.all), parents) == (4, {"playground_id:p"})


def keys(span: ReadableSpan) -> set[str]:
    """What a span has beside what every span has."""
    names = {name.removeprefix("braintrust.") for name in span.attributes or {}}
    return names - {"parent", "span_attributes", "context_json"}


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
    assert keys(spans.one("accuracy")) == {"input_json", "output_json", "scores"}


def test_metadata_and_tags_are_recorded_as_the_task_changed_them(
    spans: Spans, tracing: EvalTracer
) -> None:
    def task(input: Any, hooks: Any) -> None:
        hooks.metadata["new"] = 2
        hooks.tags = ["b"]

    run_case(Evaluator("e", task), EvalCase(1, metadata={"old": 1}, tags=["a"]), tracer=tracing)

    assert attribute(spans.one("eval"), "metadata") == {"old": 1, "new": 2}
    assert attribute(spans.one("eval"), "tags") == ("b",)


def test_metadata_and_tags_that_the_task_empties_are_empty_on_the_span(
    spans: Spans, tracing: EvalTracer
) -> None:
    def task(input: Any, hooks: Any) -> None:
        hooks.metadata, hooks.tags = None, []

    run_case(Evaluator("e", task), EvalCase(1, metadata={"a": 1}, tags=["t"]), tracer=tracing)

    span = spans.one("eval")
    assert attribute(span, "metadata") == {}
    assert list(attribute(span, "tags")) == []


def test_spans_of_scorers_and_classifiers_have_what_they_get_and_labels_their_metadata(
    spans: Spans, tracing: EvalTracer
) -> None:
    def topic(output: Any) -> Any:
        return {"id": "a", "metadata": {"why": "obvious"}}

    def several(output: Any) -> Any:
        return [{"id": "a", "name": "x", "metadata": {"n": 1}}, {"id": "b", "name": "y"}]

    case = EvalCase(1, expected=2, metadata={"m": 1}, tags=["t"], id="row")
    evaluator = Evaluator("e", echo, scores=[accuracy], classifiers=[topic, several])
    run_case(evaluator, case, tracer=tracing)

    given = {
        "input": 1,
        "expected": 2,
        "metadata": {"m": 1},
        "output": 1,
        "id": "row",
        "tags": ["t"],
    }
    for name in ("accuracy", "topic", "several"):
        assert attribute(spans.one(name), "input_json") == given
    assert attribute(spans.one("topic"), "metadata") == {"why": "obvious"}
    assert attribute(spans.one("several"), "metadata") == {"x": {"n": 1}, "y": None}


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
    assert keys(span) == {"input_json"}
    assert spans.one("task").status.status_code is StatusCode.UNSET
    assert spans.one("accuracy").status.status_code is StatusCode.UNSET
    assert attribute(spans.one("eval"), "metadata") == {
        "m": 1,
        "scorer_errors": {"failing": "ValueError: no"},
    }


def test_of_large_values_only_a_part_is_kept_where_nobody_reads_more(spans: Spans) -> None:
    case = EvalCase("i" * 5000, "e" * 5000, {"m": "m" * 5000})
    evaluator = Evaluator("e", lambda input: "o" * 5000, scores=[accuracy])
    result, _ = run_case(evaluator, case, tracer=EvalTracer(spans.tracer, max_json=1000))

    assert result.output_json == '"' + "o" * 5000 + '"'
    for name, fields in {
        "eval": {"input_json": "i", "expected_json": "e", "output_json": "o", "metadata": "m"},
        "task": {"input_json": "i", "expected_json": "e", "output_json": "o"},
        "accuracy": {"input_json": "i"},
    }.items():
        for field, letter in fields.items():
            kept = attribute(spans.one(name), field)
            assert letter * 400 in kept and " bytes]" in kept, (name, field)
            assert len(kept) < 1000

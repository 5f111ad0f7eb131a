"""What an application has told the SDK to do to what it sends is done to the spans of runs."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import braintrust
import pytest
from braintrust.logger import _internal_get_global_state

from flask_braintrust_evals import Evaluator, Score, contrib
from flask_braintrust_evals.cloud.tracing.worker_spans import WorkerSpans
from flask_braintrust_evals.contrib.braintrust import customizers
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from tests.standin import StandIn
from tests.web.support import PLAYGROUND, Api, cloud_app

CARD = "1234-5678"
SECRET = re.compile(r"\d{4}-\d{4}")


def mask(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET.sub("****", value)
    if isinstance(value, dict):
        return {name: mask(each) for name, each in value.items()}
    return [mask(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(autouse=True)
def nothing_is_set() -> Iterator[None]:
    customizers._log_once.cache_clear()
    yield
    braintrust.set_masking_function(None)
    braintrust.set_span_customizers(None)


class Customizer(braintrust.SpanCustomizer):
    """Calls a function, and notes what it gets."""

    def __init__(self, change: Any) -> None:
        self._change = change
        self.seen: list[dict[str, Any]] = []

    def on_span_export(self, data: dict[str, Any]) -> Any:
        self.seen.append(copy.deepcopy(data))
        return self._change(data)


def customize(change: Any) -> Customizer:
    made = Customizer(change)
    braintrust.set_span_customizers([made])
    return made


@braintrust.traced
def look_up(text: str) -> str:
    return f"found {text}"


def task(input: Any, hooks: Any) -> Any:
    hooks.metadata["seen"] = input
    return look_up(input)


def fails(input: Any) -> None:
    raise ValueError(f"no card {input}")


def exact(output: Any, expected: Any) -> Score:
    return Score("exact", 1, {"compared": output})


def run(cloud: StandIn, a_task: Any = task, **case: Any) -> list[Any]:
    """Run one case; return the events of the stream."""
    api = Api(cloud_app(cloud, Evaluator("e", a_task, scores=[exact])))
    data = [{"input": f"card {CARD}", "expected": CARD, "metadata": {"of": CARD}, **case}]
    return api.events(name="e", data=data, parent=PLAYGROUND)


def recorded(cloud: StandIn) -> str:
    return repr([(span.name, span.attributes, span.events) for span in cloud.spans])


def test_without_either_spans_are_sent_as_they_were_recorded(cloud: StandIn) -> None:
    assert contrib.braintrust_customizer() is None
    run(cloud)
    assert CARD in recorded(cloud)


def test_all_spans_of_a_run_are_masked_and_its_stream_is_not(cloud: StandIn) -> None:
    braintrust.set_masking_function(mask)
    events = run(cloud)
    assert CARD in repr(events)
    assert CARD not in recorded(cloud)
    names = {span.name for span in cloud.spans}
    assert names == {"eval", "task", "exact", "look_up"}
    (case,) = cloud.spans_named("eval")
    assert case.json("braintrust.input_json") == "card ****"
    assert case.json("braintrust.expected_json") == "****"
    assert case.json("braintrust.output_json") == "found card ****"
    assert case.json("braintrust.metadata") == {"of": "****", "seen": "card ****"}
    (scored,) = cloud.spans_named("exact")
    assert scored.json("braintrust.scores") == {"exact": 1}
    assert case.type == "eval"
    (inner,) = cloud.spans_named("look_up")
    assert inner.json("braintrust.input_json") == {"text": "card ****"}


def test_rows_are_masked_too(cloud: StandIn) -> None:
    braintrust.set_masking_function(mask)
    run(cloud, upsert_id="the row")
    (logged,) = cloud.rows
    assert CARD not in repr(logged)
    assert logged.row["input"] == "card ****"
    assert not cloud.spans_named("eval")


def test_a_field_that_cannot_be_masked_is_not_sent(cloud: StandIn) -> None:
    def only_dicts(value: Any) -> Any:
        if isinstance(value, dict) and value:
            return mask(value)
        raise ValueError(f"not a dict: {value}")

    braintrust.set_masking_function(only_dicts)
    run(cloud)
    assert CARD not in recorded(cloud)
    (case,) = cloud.spans_named("eval")
    failed = "ERROR: Failed to mask field 'input' - ValueError"
    assert case.json("braintrust.input_json") == failed
    (scored,) = cloud.spans_named("exact")
    assert scored.json("braintrust.scores") == {"exact": 1}


def test_numbers_that_cannot_be_masked_are_left_out_and_the_span_says_so(cloud: StandIn) -> None:
    def no_scores(value: Any) -> Any:
        if isinstance(value, dict) and "exact" in value:
            raise KeyError(CARD)
        return value

    braintrust.set_masking_function(no_scores)
    run(cloud)
    (scored,) = cloud.spans_named("exact")
    assert "braintrust.scores" not in scored.attributes
    assert scored.status_message == "ERROR: Failed to mask field 'scores' - KeyError"


def test_customizers_get_records_of_the_sdk_and_may_change_all_but_the_identity(
    cloud: StandIn,
) -> None:
    def change(record: dict[str, Any]) -> dict[str, Any]:
        assert record["metrics"]["end"] >= record["metrics"]["start"] > 1e9
        record["span_attributes"]["name"] = "other " + record["span_attributes"]["name"]
        del record["metrics"]["start"]
        record.pop("output", None)
        return {**record, "span_id": "0" * 16, "id": "other", "input": "changed", "tags": ["t"]}

    made = customize(change)
    run(cloud)
    (case,) = cloud.spans_named("other eval")
    seen = {each["span_attributes"]["name"]: each for each in made.seen}
    assert seen["eval"]["span_id"] == seen["eval"]["id"] == case.span_id
    assert seen["eval"]["span_parents"] == []
    assert seen["task"]["span_parents"] == [case.span_id]
    assert seen["task"]["root_span_id"] == case.trace_id
    assert case.json("braintrust.input_json") == "changed"
    assert "braintrust.output_json" not in case.attributes
    assert case.attributes["braintrust.tags"] == ["t"]
    assert case.type == "eval"
    assert case.start < case.end


def test_customizers_come_one_after_another_and_before_masking(cloud: StandIn) -> None:
    def add(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "input": [record.get("input"), CARD]}

    braintrust.set_span_customizers([Customizer(add), Customizer(add)])
    braintrust.set_masking_function(mask)
    run(cloud)
    (case,) = cloud.spans_named("eval")
    assert case.json("braintrust.input_json") == [["card ****", "****"], "****"]


def test_errors_may_be_changed_with_their_stack_traces(cloud: StandIn) -> None:
    def hide(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "error": "hidden"} if "error" in record else record

    customize(hide)
    braintrust.set_masking_function(mask)
    run(cloud, fails)
    (failed,) = cloud.spans_named("task")
    assert failed.status_message == "hidden"
    assert CARD not in recorded(cloud)


@pytest.mark.parametrize(
    "change", [lambda record: 1 / 0, lambda record: None, lambda record: never(record)]
)
def test_the_contents_are_not_sent_if_a_customizer_fails(
    cloud: StandIn, change: Any, caplog: pytest.LogCaptureFixture
) -> None:
    customize(change)
    run(cloud, fails)
    assert CARD not in recorded(cloud)
    (case,) = (span for span in cloud.spans if not span.parent_span_id)
    assert case.type == "eval"
    assert case.json("braintrust.context_json") == {"customizer_error": True}
    assert case.parent_header == "playground_id:the-playground"
    assert not {"braintrust.input_json", "braintrust.metadata"} & case.attributes.keys()
    assert caplog.text.count("a span customizer failed") == 1
    assert CARD not in caplog.text.partition("a span customizer failed")[2]


async def never(record: dict[str, Any]) -> dict[str, Any]:
    return record


def test_workers_customize_the_spans_below_a_case(cloud: StandIn) -> None:
    braintrust.set_masking_function(mask)
    spans = WorkerSpans(
        "p", CaseSpanProcessor(install=False), print, customizer=contrib.braintrust_customizer
    )
    tracer = EvalTracer(spans.collector.tracer)
    case = tracer.start("eval", "eval", attributes={"braintrust.input_json": f'"{CARD}"'})
    inner = spans.collector.tracer.start_span(
        "inner", attributes={"braintrust.input_json": f'"{CARD}"'}
    )
    inner.end()
    case.end()
    root, packed = spans.take(case.get_span_context().trace_id)
    assert root is not None
    assert CARD not in repr(packed)
    # The server goes on with it, and customizes it when it ends.
    assert CARD in repr(dict(root.attributes or {}))


def test_older_versions_of_the_sdk_keep_the_function_under_another_name(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = _internal_get_global_state()
    older = SimpleNamespace(value=SimpleNamespace(masking_function=mask))
    monkeypatch.setattr(state, "_global_bg_logger", older)
    run(cloud)
    assert "card ****" in recorded(cloud)
    assert CARD not in recorded(cloud)


def test_a_version_that_keeps_it_elsewhere_is_logged_once(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(contrib, "_logged", set())
    monkeypatch.setattr(_internal_get_global_state(), "_global_bg_logger", object())
    run(cloud)
    run(cloud)
    assert caplog.text.count("span customizers of this version of the braintrust package") == 1

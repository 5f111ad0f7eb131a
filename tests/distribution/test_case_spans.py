"""The spans of cases that ran on a worker, for the client of the run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints
from flask_braintrust_evals.distribution.messaging.orders import RunOrder
from flask_braintrust_evals.distribution.owner.completion import CaseCompletion
from flask_braintrust_evals.distribution.owner.executor import RemoteExecutor
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.running.local_executor import LocalExecutor
from flask_braintrust_evals.engine.running.run import Run
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.events import CaseFinished
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.runs.host import Host
from flask_braintrust_evals.runs.worker_cases import WorkerCases
from flask_braintrust_evals.tracing.processor import CaseSpanProcessor
from flask_braintrust_evals.tracing.span_keeper import SpanKeeper

from .memory import NOISE, MemoryBroker, Workers, new_dispatcher

NEARLY_TOO_MUCH = 1_270_000
"""Characters of it that a message can still hold, but not with the spans of the case."""


def task(input: Any, hooks: EvalHooks) -> Any:
    with hooks.span.start_span("look up", type="tool") as span:
        span.log(output=input)
        if input == "noise":
            hooks.metadata["noise"] = NOISE[:NEARLY_TOO_MUCH]
            for start in range(0, len(NOISE), 20_000):
                hooks.span.start_span("much", input=NOISE[start : start + 20_000]).end()
    return "done"


def exact(output: Any) -> bool:
    return True


EVALUATOR = Evaluator("e", task, scores=[exact])


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def run_there(broker: MemoryBroker) -> Iterator[Any]:
    """Run a case on a worker; return its result."""
    host = Host(Settings(), CaseSpanProcessor(install=False), nullcontext)
    workers = Workers(
        broker,
        [EVALUATOR],
        lambda order, evaluator, late: WorkerCases(order, evaluator, host, late),
    )
    workers.start()
    dispatcher = new_dispatcher(broker)

    def run(input: Any, asked: bool = True) -> CaseResult:
        keeper = SpanKeeper() if asked else None
        collected = None if keeper is None else host.spans_in_memory(keeper)
        tracer = EvalTracer() if collected is None else EvalTracer(collected.tracer)
        parameters = EVALUATOR.parameter_set.validate(None)
        runner = CaseRunner(EVALUATOR.plan, parameters, tracer=tracer, keeper=keeper)
        completion = CaseCompletion(runner, (), lambda spans, lost: None)
        fingerprint = Fingerprints("").of(EVALUATOR)
        order = RunOrder("", uuid.uuid4().hex, "e", fingerprint, case_spans=asked)
        ordered = dispatcher.open(order, 1)
        executor = RemoteExecutor(dispatcher, ordered, runner, completion, LocalExecutor(runner))
        run = Run(executor, [{"input": input}], max_concurrency=1, trial_count=1)
        run.when_closed(executor.close)
        (result,) = [each.result for each in run if isinstance(each, CaseFinished)]
        return result

    yield run
    workers.stop()
    dispatcher.stop()


def test_a_case_on_a_worker_has_its_spans(run_there: Any) -> None:
    result = run_there("in")
    assert result.spans is not None
    spans = {each["name"]: each for each in result.spans.spans}
    assert spans.keys() == {"eval", "task", "look up", "exact"}
    assert spans["eval"]["id"] == result.ref.id
    assert spans["look up"]["parent_id"] == spans["task"]["id"]
    assert spans["look up"]["output"] == "in"
    assert spans["task"]["parent_id"] == spans["exact"]["parent_id"] == spans["eval"]["id"]
    assert spans["eval"]["start"] == 0


def test_where_nobody_asks_none_travel(run_there: Any, broker: MemoryBroker) -> None:
    assert run_there("in", asked=False).spans is None
    assert not any("look up" in text for _, text in broker.log)


def test_spans_that_no_message_can_hold_are_counted_and_the_result_is_kept(run_there: Any) -> None:
    result = run_there("noise")
    assert (result.output, len(result.metadata["noise"])) == ("done", NEARLY_TOO_MUCH)
    assert result.scores["exact"].score == 1
    assert result.spans is not None
    assert result.spans.left_out > 50
    assert [each["name"] for each in result.spans.spans] == ["eval"]

"""What the owner of a run does with the outcome of a case."""

from __future__ import annotations

import time
from typing import Any

from flask_braintrust_evals.distribution.completion import CaseCompletion
from flask_braintrust_evals.distribution.reports import add_outcome, outcome_of, without_spans
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.case_runner import CaseRunner
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.tracing.span_ids import new_ids
from tests.engine.support import Spans, attribute


def completed(outcome: Any, result: CaseResult) -> tuple[Any, list[Any]]:
    """The ``eval`` span of a case, and the spans that came with it."""
    spans, evaluator = Spans(), Evaluator("e", lambda input: input)
    runner = CaseRunner(
        evaluator.plan,
        evaluator.parameter_set.validate(None),
        tracer=EvalTracer(spans.tracer),
    )
    added: list[Any] = []
    completion = CaseCompletion(runner, (), lambda packed, lost: added.append((packed, lost)))
    completion.complete(result, outcome, new_ids(), time.time_ns())
    return spans.one("eval"), added


def new_result(**fields: Any) -> CaseResult:
    case = EvalCase("in", metadata={"n": 1})
    return CaseResult(CaseRef("id", 0, 0, None), case, metadata={"n": 1}, **fields)


def test_what_is_known_of_a_case_is_recorded_although_its_span_was_too_large() -> None:
    there = outcome_of(new_result(), {"name": "eval"}, [{"count": 4}])
    result = new_result(output_data=b'"out"')
    outcome = without_spans(there)
    add_outcome(outcome, result)
    span, added = completed(outcome, result)
    assert added == [([], 4)]
    assert attribute(span, "output_json") == "out"
    assert attribute(span, "metadata") == {"n": 1}
    assert result.output == "out"


def test_a_case_that_was_lost_has_a_span_with_its_failure() -> None:
    result = new_result(error=CaseError("CaseLostError", "killed"))
    span, added = completed(None, result)
    assert added == []
    assert span.status.status_code.name == "ERROR"
    (event,) = span.events
    assert event.attributes["exception.message"] == "killed"
    assert span.end_time >= span.start_time

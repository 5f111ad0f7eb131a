"""What the owner of a run does with the outcome of a case."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging.reports import (
    add_outcome,
    failed_outcome,
    outcome_of,
    without_spans,
)
from flask_braintrust_evals.distribution.owner.completion import CaseCompletion
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.case_runner import CaseRunner
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.results import CaseError, CaseRef, CaseResult
from flask_braintrust_evals.engine.values.scores import Score
from flask_braintrust_evals.tracing.span_ids import new_ids
from tests.engine.support import Spans, attribute


def zeros(root_span: Any, data: Any, unhandled_scores: list[str]) -> dict[str, float]:
    return dict.fromkeys(unhandled_scores, 0.0)


def completed(outcome: Any, result: CaseResult) -> tuple[Any, list[Any]]:
    """The ``eval`` span of a case, and the spans that came with it."""
    evaluator = Evaluator(
        "e", lambda input: input, scores=[lambda output: 1.0], error_score_handler=zeros
    )
    spans = Spans()
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


FAILURE = CaseError("WorkerError", "the output of the task is too large")
SCORED = new_result(scores={"s": Score("s", 1.0)})


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


@pytest.mark.parametrize("outcome", [outcome_of(SCORED), failed_outcome(FAILURE)])
def test_a_case_that_fails_on_the_way_has_the_scores_of_the_error_score_handler(
    outcome: Mapping[str, Any],
) -> None:
    result = new_result(error=FAILURE)
    add_outcome(outcome, result)
    span, _ = completed(outcome, result)
    assert [score.score for score in result.scores.values()] == [0.0]
    assert result.error == FAILURE
    assert span.status.status_code.name == "ERROR"


def test_the_handler_is_not_called_again_for_what_has_failed_on_the_worker() -> None:
    outcome = outcome_of(new_result(error=FAILURE, scores={"s": Score("s", 0.5)}))
    result = new_result(error=FAILURE)
    add_outcome(outcome, result)
    completed(outcome, result)
    assert result.scores == {"s": Score("s", 0.5)}

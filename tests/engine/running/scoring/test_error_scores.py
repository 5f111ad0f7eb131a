"""``error_score_handler``: scores for cases that failed, as in the braintrust SDK."""

from __future__ import annotations

from typing import Any

import pytest
from braintrust.framework import default_error_score_handler
from opentelemetry.trace import StatusCode

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import RegistrationError
from tests.engine.support import Spans, attribute, run_case


def good(output: Any) -> float:
    return 1


def bad(output: Any) -> float:
    raise ValueError("bad")


def fail(input: Any) -> None:
    raise KeyError("task")


def echo(input: Any) -> Any:
    return input


def scores(evaluator: Evaluator, **options: Any) -> Any:
    result, _ = run_case(evaluator, **options)
    return {name: score.score for name, score in result.scores.items()}


def test_a_failed_task_is_scored_for_all_its_scorers_with_the_sdks_own_handler() -> None:
    spans = Spans()
    evaluator = Evaluator(
        "e", fail, scores=[good, bad], error_score_handler=default_error_score_handler
    )
    assert scores(evaluator, tracer=EvalTracer(spans.tracer)) == {"good": 0, "bad": 0}
    assert attribute(spans.one("eval"), "scores") == {"good": 0, "bad": 0}


def test_only_scorers_that_failed_are_handed_over() -> None:
    seen: list[Any] = []

    def handler(span: Any, case: EvalCase, names: list[str]) -> dict[str, float]:
        seen.append((case.input, names))
        return {"bad": 0.25, "good": 0}

    remote = ScorerCall("remote", bad, (), ("output",))
    evaluator = Evaluator("e", echo, scores=[good, bad], error_score_handler=handler)
    assert scores(evaluator, case="x", extra_scorers=[remote]) == {"good": 1, "bad": 0.25}
    assert seen == [("x", ["bad", "remote"])]


@pytest.mark.parametrize("answer", [None, {}])
def test_a_handler_need_not_give_scores(answer: Any) -> None:
    evaluator = Evaluator("e", fail, scores=[good], error_score_handler=lambda *args: answer)
    assert scores(evaluator) == {}


def test_a_case_without_failures_does_not_ask() -> None:
    def handler(*args: Any) -> Any:
        raise AssertionError

    evaluator = Evaluator("e", echo, scores=[good], error_score_handler=handler)
    result, _ = run_case(evaluator)
    assert not result.scorer_errors


def test_a_handler_may_be_async() -> None:
    async def handler(*args: Any) -> dict[str, float]:
        return {"good": 0.5}

    evaluator = Evaluator("e", fail, scores=[good], error_score_handler=handler)
    assert scores(evaluator) == {"good": 0.5}


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (lambda *args: {"good": 7}, "ValueError: score (7.0) must be between 0 and 1"),
        (lambda *args: {"good": "x"}, "TypeError: a scorer must return a number"),
        (lambda *args: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_handler_that_fails_is_reported_and_has_no_other_effect(handler: Any, error: str) -> None:
    spans = Spans()
    evaluator = Evaluator("e", echo, scores=[good, bad], error_score_handler=handler)
    result, _ = run_case(evaluator, tracer=EvalTracer(spans.tracer))
    assert result.scores["good"].score == 1
    assert str(result.scorer_errors["error_score_handler"]).startswith(error)
    assert spans.one("eval").status.status_code is StatusCode.ERROR


def test_the_handlers_metadata_comes_on_top_of_the_cases() -> None:
    spans = Spans()

    def handler(span: Any, case: EvalCase, names: list[str]) -> None:
        span.log(metadata={"handled": names})

    evaluator = Evaluator("e", fail, scores=[good], error_score_handler=handler)
    run_case(evaluator, EvalCase("x", metadata={"a": 1}), tracer=EvalTracer(spans.tracer))
    assert attribute(spans.one("eval"), "metadata") == {"a": 1, "handled": ["good"]}


def test_a_handler_that_is_no_function_is_refused() -> None:
    with pytest.raises(RegistrationError, match="error_score_handler must be a function, not 5"):
        Evaluator("e", echo, error_score_handler=5)  # type: ignore[arg-type]

"""A case is scored in passes, of which a later one needs only the result and the span."""

from __future__ import annotations

from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.calls.signatures import ScorerCall, unique_names
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import Parameters
from flask_braintrust_evals.engine.running.scoring.case_scorer import CaseScorer
from flask_braintrust_evals.engine.running.user_code.user_code import UserCode
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from tests.engine.support import Spans, echo, run_case


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def broken(output: Any) -> float:
    raise RuntimeError("out of order")


EXTRA = (
    ScorerCall("exact", lambda output: 0.25, ("output",), ()),
    ScorerCall("broken", broken, ("output",), ()),
)


def test_a_pass_of_its_own_gives_what_it_gives_after_the_evaluators_own() -> None:
    evaluator = Evaluator("e", echo, scores=[exact])
    together, _ = run_case(evaluator, extra_scorers=EXTRA)

    apart, _ = run_case(evaluator)
    scorers = unique_names((*evaluator.plan.scorers, *EXTRA))
    code = UserCode(evaluator.plan, None, Cancellation())
    names = [scorer.name for scorer in scorers]
    second = CaseScorer(scorers[1:], (), names, code, None)
    failed = second.score(
        apart, EvalTracer().start("eval", "eval"), Parameters(), lambda error: None
    )

    assert failed == ["broken"]
    assert apart.scores == together.scores
    assert list(apart.scores) == ["exact", "exact (2)"]
    assert apart.scorer_errors.keys() == together.scorer_errors.keys()


def test_the_spans_of_a_second_pass_are_below_the_case(spans: Spans) -> None:
    evaluator = Evaluator("e", echo, scores=[exact], classifiers=[lambda output: None])
    run_case(evaluator, extra_scorers=EXTRA[:1], tracer=EvalTracer(spans.tracer))

    assert spans.tree() == {"eval": {"task": {}, "exact": {}, "classifier_0": {}, "exact (2)": {}}}


def test_where_the_task_failed_every_scorer_of_every_pass_is_reported_to_the_handler() -> None:
    asked: list[list[str]] = []

    def task(input: Any) -> Any:
        raise ValueError("no")

    def handler(span: Any, case: Any, names: list[str]) -> dict[str, float]:
        asked.append(names)
        return dict.fromkeys(names, 0.0)

    evaluator = Evaluator("e", task, scores=[exact], error_score_handler=handler)
    result, _ = run_case(evaluator, extra_scorers=EXTRA)

    assert asked == [["exact", "exact (2)", "broken"]]
    assert {name: score.score for name, score in result.scores.items()} == {
        "exact": 0.0,
        "exact (2)": 0.0,
        "broken": 0.0,
    }

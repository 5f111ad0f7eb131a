"""Cases whose task was cancelled with the run before it returned."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.hooks import EvalHooks
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.engine.values.events import CaseFinished
from flask_braintrust_evals.engine.values.summary import RunSummary
from tests.engine.support import Spans, attribute, consumed, inputs, new_run, run_case
from tests.support import ROOT


def partial(input: Any, hooks: EvalHooks) -> str:
    """A task that is told to stop, and returns what it has."""
    hooks.cancel_event.set()
    return "half of it"


async def cancelled(input: Any) -> None:
    await asyncio.sleep(60)


def good(output: Any) -> float:
    return 1.0


def test_what_a_task_returns_after_the_end_is_no_result_and_is_not_scored() -> None:
    scored: list[Any] = []
    spans = Spans()
    given: list[Any] = []
    evaluator = Evaluator(
        "e",
        partial,
        scores=[lambda output: scored.append(output)],
        error_score_handler=lambda *all: given.append(all),
    )
    result, events = run_case(evaluator, tracer=EvalTracer(spans.tracer))
    assert result.interrupted
    assert (result.output, result.output_json, result.scores) == (None, None, {})
    assert str(result.error) == "RunError: the run was cancelled before the task returned"
    assert isinstance(events[-1], CaseFinished)
    assert not scored and not given
    for name in ("eval", "task"):
        assert attribute(spans.one(name), "output_json") is None
        assert spans.one(name).status.status_code.name == "ERROR"


def test_a_task_that_returned_before_the_end_is_scored() -> None:
    cancellation = Cancellation()

    def stop(output: Any) -> float:
        cancellation.set()
        return 1.0

    evaluator = Evaluator("e", lambda input: input, scores=[stop])
    result, _ = run_case(evaluator, cancellation=cancellation)
    assert not result.interrupted
    assert result.scores["stop"].score == 1


def test_a_coroutine_that_is_cancelled_with_its_run_is_interrupted() -> None:
    run = new_run(Evaluator("e", cancelled, scores=[good]), inputs(1))
    events = consumed(run, lambda event: True)
    run.stop()
    (result,) = [event.result for event in events if isinstance(event, CaseFinished)]
    assert result.interrupted
    summary = run.summary
    assert (summary.cases, summary.failed, summary.interrupted) == (0, 0, 1)
    assert (summary.scores, summary.metrics) == ({}, {})
    assert summary.warning == "no case is done: all were interrupted"


def test_a_task_that_fails_or_is_too_slow_is_not_interrupted() -> None:
    def fails(input: Any) -> None:
        raise asyncio.CancelledError

    for evaluator in (Evaluator("e", fails), Evaluator("e", cancelled, task_timeout=0.05)):
        result, _ = run_case(evaluator)
        assert (result.interrupted, result.error is None) == (False, False)


def test_evaluator_run_keeps_interrupted_cases_apart() -> None:
    def task(input: int, hooks: EvalHooks) -> Any:
        return partial(input, hooks) if input == 2 else input

    result = Evaluator("e", task, scores=[good]).run(inputs(1, 2), max_concurrency=1)
    assert [each.output for each in result.results] == [1]
    assert [each.case.input for each in result.interrupted] == [2]
    assert result.scores["good"].count == 1
    assert str(result).startswith("e: 1 case, 0 failed, 1 interrupted\n")
    assert not result
    assert not result.failures


# --- A result as a condition, and as HTML ---


def test_a_result_is_true_if_all_went_well() -> None:
    assert Evaluator("e", str, scores=[good]).run(inputs(1))


@pytest.mark.parametrize(
    "evaluator",
    [
        Evaluator("task", lambda input: 1 / 0),
        Evaluator("scorer", str, scores=[lambda output: 1 / 0]),
        Evaluator("classifier", str, classifiers=[lambda output: 1 / 0]),
        Evaluator("no score", str, scores=[lambda output: None]),
    ],
    ids=lambda evaluator: str(evaluator.name),
)
def test_a_result_is_false_if_something_failed_or_a_score_is_missing(evaluator: Evaluator) -> None:
    assert not evaluator.run(inputs(1))


def test_a_result_without_cases_is_false() -> None:
    assert not Evaluator("e", str).run([])
    assert RunSummary().warning


def test_as_html_all_texts_are_escaped() -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        raise ValueError("<script>")

    result = Evaluator("<b>", task, scores=[good]).run(inputs(1))
    html = result._repr_html_()
    assert "<script>" not in html and "<b>" not in html
    assert "<p>&lt;b&gt;: 1 case, 1 failed</p>" in html
    assert "<li>case 1 failed: ValueError: &lt;script&gt;\n  at " in html
    assert "<td>duration</td>" in html
    scored = Evaluator("e", str, scores=[good]).run(inputs(1))._repr_html_()
    assert "<tr><td>good</td><td>1.0000</td><td>1</td></tr>" in scored
    assert "<ul>" not in scored
    assert json.dumps(scored)


TEST = """
from flask_braintrust_evals import Evaluator

def exact(output, expected):
    return output == expected

def shout(input):
    if input is None:
        raise ValueError("nothing to shout")
    return input.upper()

CASES = [{"input": "a", "expected": "A"}, {"input": None}]

def test_shouts():
    result = Evaluator("shout", shout, scores=[exact]).run(CASES)
    assert result, result
"""


@pytest.mark.slow
def test_pytest_shows_a_result_that_is_asserted(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "AssertionError: shout: 2 cases, 1 failed" in done.stdout
    assert "exact: 1.0000 over 1 case" in done.stdout
    assert "case 2 failed: ValueError: nothing to shout" in done.stdout

"""Means and counts over a run."""

from __future__ import annotations

from typing import Any

import pytest

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.events import RunFinished
from flask_braintrust_evals.engine.values.summary import RunSummary, ScoreSummary
from tests.engine.support import events_of, inputs


def test_the_mean_is_that_of_the_cases_with_a_score() -> None:
    summary = RunSummary()
    for score in (1.0, None, 0.0, 0.5):
        summary.add({"s": score}, False, ())

    assert summary.scores == {"s": ScoreSummary("s", 1.5, 3)}
    assert summary.scores["s"].mean == 0.5


def test_a_score_that_no_case_has_has_no_mean() -> None:
    summary = RunSummary()
    summary.add({"s": None}, False, ())

    assert summary.scores["s"].mean is None


def test_a_summary_counts_cases_failures_and_the_errors_of_each_scorer() -> None:
    summary = RunSummary()
    summary.add({"a": 1}, False, ["b"])
    summary.add({}, True, ())
    summary.add({}, False, ["a", "b"])

    assert (summary.cases, summary.failed) == (3, 1)
    assert summary.scorer_errors == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("cases", "warning"),
    [
        ([({"a": 1}, False, ["b"]), ({"a": 1}, False, ())], ""),
        ([({"a": 1}, False, ["b"]), ({}, True, ())], "'b' failed each time"),
        ([({}, True, ()), ({}, True, ())], "the task failed in every case"),
        ([({"a": 1}, False, ())], ""),
        ([({"a": None}, False, ["b"])], "no case has a score for 'a'; 'b' failed each time"),
        ([({}, False, ["c", "b"])], "'b', 'c' failed each time"),
        ([({"b": 0}, False, ["b"])], ""),
    ],
    ids=["once", "each time", "task", "nothing", "both", "two", "scored by a handler"],
)
def test_what_has_failed_each_time_is_a_warning(cases: list[Any], warning: str) -> None:
    summary = RunSummary()
    for each in cases:
        summary.add(*each)
    assert summary.warning == warning


def test_a_run_sums_up_its_cases_failing_ones_included() -> None:
    def task(input: Any) -> Any:
        if input == "bad":
            raise ValueError
        return input

    def scorer(output: Any) -> Any:
        return None if output == "none" else output

    cases = inputs(1, 0, "bad", "none", "scorer fails")
    last = events_of(Evaluator("e", task, scores=[scorer]), cases)[-1]

    assert isinstance(last, RunFinished)
    assert (last.summary.cases, last.summary.failed) == (5, 1)
    assert last.summary.scores == {"scorer": ScoreSummary("scorer", 1.0, 2)}
    assert last.summary.scorer_errors == {"scorer": 1}


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3])
def test_the_mean_of_equal_scores_is_that_score(value: float) -> None:
    summary = RunSummary()
    for _ in range(1000):
        summary.add({"s": value}, False, ())

    assert summary.scores["s"].mean == value

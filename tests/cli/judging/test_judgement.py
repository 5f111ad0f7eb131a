"""When ``flask evals run`` fails: failures that may be, and results of an earlier run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.cli.judging.baseline import compare
from flask_braintrust_evals.cli.judging.chance import chance_of
from flask_braintrust_evals.cli.reports.quantiles import quantile
from flask_braintrust_evals.cli.stored_results.saved_results import (
    SavedCase,
    SavedRun,
    key_of,
    saved_case,
)
from tests.cli.test_run import app_of, evals, exact
from tests.comparisons import Comparison, comparisons


def run(task: Any, cases: Any, *arguments: str, scores: Any = (exact,)) -> Result:
    return evals(
        app_of(Evaluator("e", task, scores=list(scores), data=cases)), "run", "e", *arguments
    )


# --- Failures ---


def fails_on_low(input: int) -> int:
    if input < 2:
        raise OSError("429")
    return input


TWENTY = [{"input": n, "expected": n} for n in range(20)]


@pytest.mark.parametrize(
    ("allowed", "status"),
    [("0", 1), ("1", 1), ("2", 0), ("9.9%", 1), ("10%", 0), ("100%", 0), ("0%", 1)],
)
def test_some_cases_may_fail(allowed: str, status: int) -> None:
    result = run(fails_on_low, TWENTY, "--max-failures", allowed)
    assert result.exit_code == status, result.output
    said = f"2 cases of 20 failed, and {allowed} may (--max-failures)"
    assert (said in result.stdout) is bool(status)


def test_a_case_fails_once_whatever_failed_on_it() -> None:
    def broken(output: int) -> float:
        raise ValueError

    def broken_too(output: int) -> float:
        raise ValueError

    result = run(str, TWENTY[:2], "--max-failures", "2", scores=[broken, broken_too])
    assert result.exit_code == 0


@pytest.mark.parametrize("allowed", ["-1", "many", "101%", "-1%", "%", "nan%", ""])
def test_a_wrong_number_of_failures_is_an_error(allowed: str) -> None:
    result = run(fails_on_low, TWENTY, "--max-failures", allowed)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is neither a number of cases nor a share of them such as 5%" in result.stderr


def test_tasks_are_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_braintrust_evals.engine.running.cases import retries

    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.001)
    failures = iter([OSError("429")])

    def flaky(input: int) -> int:
        for error in failures:
            raise error
        return input

    result = run(flaky, TWENTY, "--retries", "2", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["metrics"]["retries"]["total"] == 1


# --- A baseline ---


def better(input: int) -> int:
    return input


def worse(input: int) -> int:
    return input if input >= 8 else -1


@pytest.fixture
def good(tmp_path: Path) -> str:
    file = tmp_path / "good.json"
    file.write_text(run(better, TWENTY, "--json").stdout)
    return str(file)


def test_a_run_is_compared_with_an_earlier_one_case_by_case(good: str) -> None:
    result = run(worse, TWENTY, "--baseline", good, "--show", "failures")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "score     mean   cases   change  better   worse  chance",
        "exact   0.6000      20  -0.4000       0       8   0.008",
    ]
    assert "exact fell by 0.4000, which is hardly chance (p = 0.008)" in result.stdout


@pytest.mark.parametrize(
    ("option", "status", "said"),
    [
        ("--fail-if-worse", 1, "from 1.0000 to 0.6000 over 20 cases, which is hardly chance"),
        ("--fail-if-worse=exact=0.3", 1, "from 1.0000 to 0.6000 over 20 cases, and may fall by"),
        ("--fail-if-worse=exact=0.4", 0, ""),
    ],
)
def test_a_score_that_has_fallen_fails_the_command(
    good: str, option: str, status: int, said: str
) -> None:
    result = run(worse, TWENTY, "--baseline", good, option)
    assert (result.exit_code, said in result.stdout) == (status, True)


def test_a_change_that_may_be_chance_is_no_failure(good: str) -> None:
    def almost(input: int) -> int:
        return input if input else -1

    result = run(almost, TWENTY, "--baseline", good, "--fail-if-worse")
    assert result.exit_code == 0
    assert "-0.0500       0       1   1.000" in result.stdout
    assert "exact fell by 0.0500, which may be chance (p = 1.000)" in result.stdout


def test_a_score_that_rose_is_told_too(tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(run(worse, TWENTY, "--json").stdout)
    result = run(better, TWENTY, "--baseline", str(file), "--fail-if-worse")
    assert result.exit_code == 0
    assert "exact rose by 0.4000, which is hardly chance (p = 0.008)" in result.stdout


def test_a_score_that_is_gone_is_worse(good: str) -> None:
    def other(output: Any) -> float:
        return 1.0

    result = run(better, TWENTY, "--baseline", good, "--fail-if-worse", scores=[other])
    assert result.exit_code == 1
    assert "no case has the score exact, which cases in" in result.stdout
    named = run(better, TWENTY, "--baseline", good, "--fail-if-worse=exact=0.1", scores=[other])
    assert named.exit_code == 1
    assert "the score exact cannot be compared: no case of both runs has it" in named.stdout


def test_a_score_that_is_none_in_all_cases_is_gone(good: str) -> None:
    def exact(output: Any) -> None:
        return None

    result = run(better, TWENTY, "--baseline", good, "--fail-if-worse", scores=[exact])
    assert result.exit_code == 1
    assert "no case has the score exact, which cases in" in result.stdout


def test_runs_without_a_common_case_cannot_be_compared(good: str) -> None:
    cases = [{"input": n, "expected": n} for n in range(50, 60)]
    result = run(better, cases, "--baseline", good, "--fail-if-worse", "--json")
    body = json.loads(result.stdout)
    assert (result.exit_code, body["baseline"]["cases"]) == (1, 0)
    assert "no case can be compared" in body["worse"]["baseline"]


def test_cases_that_only_one_run_has_are_counted(good: str) -> None:
    cases = [*TWENTY[:5], {"input": 77, "expected": 77}]
    result = run(better, cases, "--baseline", good)
    assert "5 cases compared with " in result.stdout
    assert "; 15 are only there, and 1 only here" in result.stdout


def test_fail_if_worse_needs_something_to_compare_with(good: str) -> None:
    result = run(better, TWENTY, "--fail-if-worse")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--fail-if-worse: give --baseline, too" in result.stderr
    misspelled = run(better, TWENTY, "--baseline", good, "--fail-if-worse=exct=0.1")
    assert (misspelled.exit_code, misspelled.stdout) == (2, "")
    assert "no scorer is named 'exct'; did you mean 'exact'?" in misspelled.stderr


def test_a_name_behind_fail_if_worse_is_not_taken_for_its_value(good: str) -> None:
    app = app_of(Evaluator("e", better, scores=[exact], data=TWENTY))
    result = evals(app, "run", "--baseline", good, "--fail-if-worse", "e")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'e' is not SCORE=NUMBER; write names of evaluators in front of" in result.stderr


def saved(*values: tuple[Any, float | None]) -> SavedRun:
    cases = [SavedCase(key_of(None, key), {"s": value}, False) for key, value in values]
    return SavedRun("e", cases)


def test_trials_count_as_their_mean_and_missing_scores_not_at_all() -> None:
    before = saved(("a", 1.0), ("a", 0.0), ("b", None), ("c", 1.0))
    now = saved(("a", 1.0), ("b", 1.0), ("c", 0.5))
    change = compare(now, before, "file").scores["s"]
    assert (change.cases, change.before, change.now) == (2, 0.75, 0.75)
    assert (change.better, change.worse) == (1, 1)


def test_cases_are_the_same_by_their_ids_or_else_by_their_inputs() -> None:
    assert key_of("x", 1) == key_of("x", 2)
    assert key_of(5, 1) == key_of("5", 1)
    assert key_of(None, {"a": 1, "b": 2}) == key_of(None, {"b": 2, "a": 1})
    assert key_of(None, "x") != key_of("x", "x")


@pytest.mark.parametrize("pair", comparisons(), ids=lambda pair: pair.path.stem)
def test_two_runs_are_compared_as_the_page_compares_them(pair: Comparison) -> None:
    now, before = (
        SavedRun("e", [saved_case(each) for each in run["results"]])
        for run in (pair.now, pair.before)
    )
    found = compare(now, before, "file")
    names = ("name", "before", "now", "cases", "better", "worse", "chance", "likely")
    scores = [{name: getattr(each, name) for name in names} for each in found.scores.values()]
    counts = ("cases", "only_before", "only_now", "missing")
    pair.check({"scores": scores, **{name: getattr(found, name) for name in counts}})


@pytest.mark.parametrize(
    ("differences", "chance"),
    [([], 1.0), ([0.0, 0.0], 1.0), ([1.0], 1.0), ([1.0] * 4, 2 / 16), ([-1.0, 1.0], 1.0)],
)
def test_chance_is_the_share_of_signs_that_give_as_much(
    differences: list[float], chance: float
) -> None:
    assert chance_of(differences) == pytest.approx(chance)


@pytest.mark.slow
def test_many_differences_are_estimated_in_the_same_way_each_time() -> None:
    noise = [random.Random(n).uniform(-1, 1) for n in range(400)]
    assert chance_of([each + 0.5 for each in noise]) < 0.001
    chance = chance_of(noise)
    assert chance > 0.01
    assert chance_of(noise) == chance


@pytest.mark.parametrize(("share", "value"), [(0, 1), (0.5, 10), (0.95, 19), (0.951, 20), (1, 20)])
def test_a_quantile_is_one_of_the_values(share: float, value: int) -> None:
    assert quantile(random.Random(1).sample(range(1, 21), 20), share) == value
    assert quantile([7.0], share) == 7

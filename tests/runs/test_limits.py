"""What a request may ask for: less than the evaluator and the settings allow, and never more."""

from __future__ import annotations

from typing import Any

import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.runs.limits import RunNumbers
from flask_braintrust_evals.runs.requests.request import EvalRequest

SETTINGS = Settings(
    max_concurrency=10, concurrency_limit=50, max_timeout=60.0, max_trials=5, max_cases=20
)


def numbers(
    options: dict[str, Any] | None = None, settings: Settings = SETTINGS, **body: Any
) -> RunNumbers:
    """The numbers of a run, from the options of its evaluator and the fields of its request."""
    evaluator = Evaluator("e", lambda input: input, **(options or {}))
    spec = EvalRequest.of({"name": "e", "data": [], **body}).spec()
    return RunNumbers.within_limits(spec, evaluator, settings)


def test_nothing_asked_and_nothing_said_is_what_the_settings_say() -> None:
    assert numbers() == RunNumbers(10, 1, 60.0, 20)


def test_nothing_asked_is_what_the_evaluator_says() -> None:
    said = {"max_concurrency": 3, "trial_count": 2, "timeout": 7}
    assert numbers(said) == RunNumbers(3, 2, 7, 20)


# --- Cases at a time ---


@pytest.mark.parametrize(
    ("asked", "at_a_time"),
    [({}, 2), ({"max_concurrency": 1}, 1), ({"max_concurrency": 50}, 2)]
    + [({"max_concurrency": 10**30}, 2), ({"max_concurrency": None}, 2)],
)
def test_an_evaluators_concurrency_can_only_be_lowered(asked: Any, at_a_time: int) -> None:
    assert numbers({"max_concurrency": 2}, **asked).max_concurrency == at_a_time


@pytest.mark.parametrize(
    ("asked", "at_a_time"),
    [({}, 10), ({"max_concurrency": 1}, 1), ({"max_concurrency": 49}, 49)]
    + [({"max_concurrency": 51}, 50), ({"max_concurrency": None}, 50)],
)
def test_where_the_evaluator_says_nothing_the_setting_is_the_limit(
    asked: Any, at_a_time: int
) -> None:
    assert numbers(**asked).max_concurrency == at_a_time


def test_an_evaluator_may_say_more_than_the_setting() -> None:
    assert numbers({"max_concurrency": 200}, max_concurrency=150).max_concurrency == 150


def test_a_default_above_the_limit_raises_the_limit() -> None:
    settings = Settings(max_concurrency=300, concurrency_limit=50)
    assert numbers(settings=settings).max_concurrency == 300
    assert numbers(settings=settings, max_concurrency=250).max_concurrency == 250


# --- Time-outs: milliseconds in a request, seconds in an evaluator ---


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [({}, 1), ({"timeout": None}, 1), ({"timeout": 250}, 0.25), ({"timeout": 1001}, 1)]
    + [({"timeout": 1e300}, 1), ({"timeout": 5e-324}, 0)],  # too small to be divided by 1000
)
def test_an_evaluators_time_out_can_only_be_lowered(asked: Any, seconds: float) -> None:
    assert numbers({"timeout": 1}, **asked).timeout == seconds


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [({}, 60), ({"timeout": None}, 60), ({"timeout": 59_000}, 59), ({"timeout": 1e300}, 60)],
)
def test_where_the_evaluator_has_no_time_out_the_setting_is_the_limit(
    asked: Any, seconds: float
) -> None:
    assert numbers(**asked).timeout == seconds


def test_an_evaluators_time_out_may_be_longer_than_the_setting() -> None:
    assert numbers({"timeout": 3600}).timeout == 3600


# --- Trials, and cases ---


def test_a_request_may_ask_for_more_trials_than_the_evaluator_up_to_the_setting() -> None:
    assert numbers({"trial_count": 2}, trial_count=5).trial_count == 5
    assert numbers({"trial_count": 2}, trial_count=1).trial_count == 1
    assert numbers({"trial_count": 8}, trial_count=7).trial_count == 7


@pytest.mark.parametrize("asked", [6, 10_000])
def test_more_trials_are_refused_because_their_results_would_be_missing(asked: int) -> None:
    with pytest.raises(RequestError) as refused:
        numbers(trial_count=asked)
    assert str(refused.value) == (
        f"trial_count: got {asked}; 5 trials are allowed (BRAINTRUST_EVALS_MAX_TRIALS)"
    )


def test_trials_of_a_case_are_refused_the_same_way() -> None:
    data = [{"input": 1, "trial_count": 5}, {"input": 2, "trial_count": 6}]
    with pytest.raises(RequestError) as refused:
        numbers(data=data)
    assert str(refused.value) == (
        "data.data[1].trial_count: got 6; 5 trials are allowed (BRAINTRUST_EVALS_MAX_TRIALS)"
    )


def test_users_who_may_change_the_evaluator_get_what_they_ask_for() -> None:
    evaluator = Evaluator("e", lambda input: input, max_concurrency=2, timeout=1, trial_count=2)
    body = {"name": "e", "data": [], "timeout": 9000, "max_concurrency": 70, "trial_count": 9}
    spec = EvalRequest.of(body).spec()
    assert RunNumbers.as_asked(spec, evaluator, SETTINGS) == RunNumbers(70, 9, 9.0, None)

"""Cases with large values: what is recorded of them, and how many run at a time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.engine.running.sources.large_cases import ROOM
from tests.standin import StandIn
from tests.support import Counter
from tests.web.support import Api, api_of, echo, make_app

LARGE = "x" * 2_000_000


def test_scorers_see_all_of_a_large_value_and_the_trace_has_a_part(cloud: StandIn) -> None:
    seen: list[Any] = []

    def compared(input: Any, output: Any, expected: Any, metadata: Any) -> None:
        seen.extend([input, output, expected, metadata["m"]])

    api = api_of(cloud, Evaluator("echo", echo, scores=[compared]))
    case = {"input": LARGE, "expected": LARGE, "metadata": {"m": LARGE}}
    assert api.outputs(data=[case]) == [LARGE]
    assert [value == LARGE for value in seen] == [True] * 4
    for name, fields in {
        "task": ("input_json", "output_json", "expected_json"),
        "eval": ("input_json", "output_json", "expected_json", "metadata"),
        "compared": ("input_json",),
    }.items():
        (span,) = cloud.spans_named(name)
        for field in fields:
            recorded = span.json(f"braintrust.{field}")
            assert isinstance(recorded, str) and " bytes]" in recorded[-30:], (name, field)
            assert 100_000 < len(recorded) < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "most"),
    [("x" * (ROOM // 4), 3), ([[] for _ in range(20_000)], 15)],
    ids=["text", "values"],
)
def test_a_caller_cannot_have_many_large_trials_at_a_time(value: Any, most: int) -> None:
    running = Counter()

    def task(input: Any) -> None:
        running.add()
        time.sleep(0.01)
        running.add(-1)

    api = Api(make_app(Evaluator("e", task), BRAINTRUST_EVALS_AUTH="none"), None)
    data = [{"input": value}]
    assert len(api.outputs(name="e", data=data, trial_count=20, max_concurrency=20)) == 20
    assert running.peak <= most


@pytest.mark.slow
def test_a_caller_cannot_have_many_copies_of_large_parameters_at_a_time() -> None:
    running = Counter()

    def task(input: Any, hooks: EvalHooks) -> None:
        running.add()
        time.sleep(0.01)
        running.add(-1)

    evaluator = Evaluator("e", task, parameters={"p": {"type": "array"}})
    api = Api(make_app(evaluator, BRAINTRUST_EVALS_AUTH="none"), None)
    body: dict[str, Any] = {
        "parameters": {"p": [{} for _ in range(19_000)]},
        "data": [{"input": 1}],
        "trial_count": 40,
        "max_concurrency": 40,
    }
    assert len(api.outputs(name="e", **body)) == 40
    assert running.peak <= 15

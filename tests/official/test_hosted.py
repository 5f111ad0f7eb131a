"""What scorers that are saved in Braintrust may answer, and how they are called.

From the tests of the SDKs in Python (``devserver/test_server.py``), Go (``scorer_api_test.go``) and
Java (``ScorerBrainstoreImplTest``). ``docs/protocol.md`` says what they disagree on.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.standin import StandIn

from .outcome import Pair, cases

pytestmark = pytest.mark.official


def run(pair: Pair, cloud: StandIn, result: Any, **fields: Any) -> list[dict[str, float]]:
    """The means that both give, when a function of Braintrust answers with this."""
    function = cloud.add_function(lambda input: result)
    scores = [{"name": "far", "function_id": {"function_id": function}}]
    outcomes = pair.run("echo", cases("a"), scores=scores, **fields)
    own = pair.run("echo", cases("a"))[0].scores
    return [{k: v for k, v in each.scores.items() if k not in own} for each in outcomes]


@pytest.mark.parametrize(
    ("result", "scores"),
    [
        pytest.param(0.5, {"far": 0.5}, id="number"),
        pytest.param(1, {"far": 1}, id="whole number"),
        pytest.param(None, {}, id="null"),
        pytest.param({"name": "far", "score": 0.5}, {"far": 0.5}, id="object"),
        pytest.param({"score": 0.5}, {"far": 0.5}, id="object without name"),
        pytest.param({"name": "other", "score": 1}, {"other": 1}, id="other name"),
        pytest.param({"name": "far", "score": None}, {}, id="null as score"),
        pytest.param(
            {"name": "far", "score": 1, "metadata": {"choice": "A", "rationale": "why"}},
            {"far": 1},
            id="judge with choice",
        ),
        pytest.param(
            {"name": "far", "score": None, "metadata": {"choice": "0.9"}},
            {},
            id="judge with a number as choice and no score",
        ),
        pytest.param(
            [{"name": "a", "score": 1}, {"name": "b", "score": 0}], {"a": 1, "b": 0}, id="several"
        ),
        pytest.param("0.5", {}, id="number as text"),
        pytest.param("good", {}, id="text"),
        pytest.param({"name": "far", "score": "0.5"}, {}, id="number as text in an object"),
        pytest.param({"name": "far", "score": 2}, {}, id="above 1"),
        pytest.param({}, {}, id="empty object"),
    ],
)
def test_an_answer_is_scored_alike(
    pair: Pair, cloud: StandIn, result: Any, scores: dict[str, float]
) -> None:
    assert run(pair, cloud, result) == [scores, scores]


def test_the_call_names_the_organisation_and_the_function_alike(pair: Pair, cloud: StandIn) -> None:
    run(pair, cloud, 1)
    official, ours = cloud.calls_to("POST", "/function/invoke")
    for call in (official, ours):
        assert call.headers["x-bt-org-name"] == "acme"
        assert (call.json["stream"], call.json["mode"], call.json["strict"]) == (
            False,
            "auto",
            True,
        )
    assert official.json["function_id"] == ours.json["function_id"]
    of_case = ("input", "output", "expected", "metadata")
    assert {key: official.json["input"][key] for key in of_case} == {
        key: ours.json["input"][key] for key in of_case
    }

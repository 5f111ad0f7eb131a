"""Parameters: what tasks see of them, and which values are refused.

From https://www.braintrust.dev/docs/evaluate/remote-evals and .../evaluate/write-parameters:

- values of the Playground's form take the place of defaults; what is not given has its default;
- a pydantic model with the single field ``value`` gives that value, any other an instance;
- ``{"type": "model"}`` gives a name, ``{"type": "prompt"}`` a prompt that can be built, ``None``
  whatever is sent;
- a parameter without a default is required, and values are validated before anything runs;
- tasks read them as ``parameters["x"]`` or ``parameters.get("x")``;
- ``load_parameters`` takes a project and slug or an id, and a version or an environment; given
  values go over saved ones, saved ones over the schema's defaults; experiments are linked to them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.standin import StandIn

from .outcome import ABSENT, PLAYGROUND, Outcome, Pair, cases

pytestmark = pytest.mark.official

CHAT: dict[str, Any] = {
    "prompt": {"type": "chat", "messages": [{"role": "user", "content": "Thank {{name}}."}]},
    "options": {"model": "other"},
}
REQUIRED: dict[str, Any] = {"word": "w", "range": {"low": 1}, "engine": "e", "ask": CHAT}
PLACES = [
    pytest.param("parameters", {}, id="defaults"),
    pytest.param("parameters", ABSENT, id="none sent"),
    pytest.param("parameters", {"prefix": "yo", "count": 3, "loud": True}, id="single values"),
    pytest.param("parameters", {"words": []}, id="list"),
    pytest.param("parameters", {"style": {"tone": "strict"}}, id="part of an object"),
    pytest.param("parameters", {"style": {"tone": "strict", "words": 5}}, id="object"),
    pytest.param("parameters", {"model": "other"}, id="model"),
    pytest.param("parameters", {"main": CHAT}, id="prompt"),
    pytest.param("parameters", {"notes": {"any": [1, None]}}, id="anything"),
    pytest.param("parameters", {"unheard-of": 1}, id="unknown name"),
    pytest.param("parameters", {"prefix": None, "count": None, "style": None}, id="null data"),
    pytest.param("parameters", {"model": None, "main": None, "notes": None}, id="null others"),
    pytest.param("parameters got", {"prefix": "yo"}, id="get"),
    pytest.param("required parameters", REQUIRED, id="required"),
    pytest.param("required parameters", {**REQUIRED, "range": {"low": 1, "high": 2}}, id="whole"),
    pytest.param("saved", {}, id="saved"),
    pytest.param("saved by id", {}, id="saved by id"),
    pytest.param("saved version", {}, id="saved version"),
    pytest.param("saved environment", {}, id="saved environment"),
    pytest.param("saved", {"greeting": "given", "model": "other"}, id="over saved"),
    pytest.param("saved", {"main": CHAT}, id="prompt over saved"),
]


@pytest.mark.parametrize(("evaluator", "parameters"), PLACES)
def test_tasks_see_the_same_values(pair: Pair, evaluator: str, parameters: Any) -> None:
    official, ours = pair.run(evaluator, cases(""), parameters=parameters)
    assert len(official.outputs) == 1
    assert official.cases == ours.cases
    assert official.scores == ours.scores


@pytest.mark.parametrize(
    ("evaluator", "parameters"),
    [
        pytest.param("parameters", {"count": 0}, id="too small"),
        pytest.param("parameters", {"count": "many"}, id="no number"),
        pytest.param("parameters", {"words": "a"}, id="no list"),
        pytest.param("parameters", {"style": {"tone": "rude"}}, id="not one of"),
        pytest.param("parameters", {"style": 1}, id="no object"),
        pytest.param("parameters", {"model": 1}, id="no model"),
        pytest.param("parameters", {"main": 1}, id="no prompt"),
        pytest.param("parameters", [], id="no mapping"),
        pytest.param("required parameters", {}, id="none of the required"),
        pytest.param("required parameters", {**REQUIRED, "word": None}, id="null value"),
        pytest.param("required parameters", {**REQUIRED, "range": {}}, id="required field"),
        pytest.param("required parameters", {**REQUIRED, "engine": None}, id="null model"),
        pytest.param("required parameters", {**REQUIRED, "ask": None}, id="null prompt"),
        pytest.param("saved", {"temperature": -1}, id="saved too small"),
        pytest.param("saved", {"greeting": None}, id="saved null"),
        pytest.param("saved", {"main": 1}, id="saved no prompt"),
    ],
)
def test_both_refuse_wrong_values_before_anything_runs(
    pair: Pair, cloud: StandIn, evaluator: str, parameters: Any
) -> None:
    body = {"name": evaluator, "data": {"data": cases("")}, "parameters": parameters}
    assert pair.post(body) == (400, 400)
    assert not cloud.calls_to("POST", "/v1/experiment")


@pytest.mark.parametrize(
    ("parameters", "coerced"),
    [
        ({"count": "3"}, {"count": 3}),
        ({"count": 3.0}, {"count": 3}),
        ({"loud": "yes"}, {"loud": True}),
        (
            {"style": {"words": "12"}},
            {"style": {"model": "Style", "tone": "friendly", "words": 12}},
        ),
    ],
)
def test_values_of_another_type_are_coerced_by_the_official_server_and_refused_by_ours(
    pair: Pair, parameters: dict[str, Any], coerced: dict[str, Any]
) -> None:
    data = {"data": [{"input": [*coerced]}]}
    body = {"name": "parameters", "data": data, "parameters": parameters, "parent": PLAYGROUND}
    assert pair.ours.post(body).status_code == 400
    official = Outcome(pair.official.run("parameters", data, parameters=parameters))
    assert official.outputs == [coerced]


def test_null_for_all_parameters_is_refused_by_the_official_server_alone(pair: Pair) -> None:
    body = {"name": "parameters", "data": {"data": cases("")}, "parameters": None}
    assert pair.post({**body, "stream": False}) == (400, 200)


@pytest.mark.parametrize(
    ("evaluator", "seen"), [("no parameters", "None"), ("empty parameters", "{}")]
)
def test_without_parameters_ours_has_a_mapping_where_the_official_server_may_have_none(
    pair: Pair, evaluator: str, seen: str
) -> None:
    official, ours = pair.run(evaluator, cases(""), parameters={"ignored": 1})
    assert official.outputs == [seen]
    assert ours.outputs == ["Parameters({})"]


def test_names_beyond_a_saved_schema_reach_the_task_under_the_official_server_alone(
    pair: Pair,
) -> None:
    official, ours = pair.run("saved", cases(""), parameters={"extra": 1})
    assert official.outputs == [{**ours.outputs[0], "extra": 1}]


@pytest.mark.parametrize("evaluator", ["saved", "saved version"])
def test_an_experiment_is_linked_to_the_saved_parameters_alike(
    pair: Pair, cloud: StandIn, evaluator: str
) -> None:
    pair.run(evaluator, cases(""), parent=ABSENT)
    official, ours = (call.json for call in cloud.calls_to("POST", "/v1/experiment"))
    for field in ("parameters_id", "parameters_version"):
        assert official[field] == ours[field] != ""

"""What ``/list`` says of the same files, under the official server and under ours.

From https://www.braintrust.dev/docs/evaluate/remote-evals and .../evaluate/write-parameters:

- each ``Eval()`` is offered to the Playground under its name, with its scorers and classifiers;
- each parameter becomes a control: of a pydantic model, a model, a prompt, or of any kind;
- parameters may be given as dicts with ``type``, ``default`` and ``description``;
- parameters may be saved in Braintrust and loaded in a version or an environment.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from .conftest import HERE, Apart
from .outcome import PLAYGROUND, Outcome, Pair

pytestmark = pytest.mark.official

LONG_NAMES = {"described": "described [experiment_name=of the evaluator]"}
"""The names that the official server gives to evaluators of the same names here."""


def lists(pair: Pair) -> tuple[dict[str, Any], dict[str, Any]]:
    return pair.official.manifest(), pair.ours.manifest()


def lifted(parameter: dict[str, Any]) -> dict[str, Any]:
    """A parameter whose default and description are beside its schema alone.

    The official server repeats them inside the schema.
    """
    if "schema" not in parameter:
        return parameter
    schema = dict(parameter["schema"])
    both = {key: schema.pop(key) for key in ("default", "description") if key in schema}
    return {**both, **parameter, "schema": schema}


def schemas(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    schema = manifest[name]["parameters"]["schema"]
    return {key: lifted(parameter) for key, parameter in schema.items()}


def test_both_list_the_same_evaluators_in_whatever_order(pair: Pair) -> None:
    official, ours = lists(pair)
    assert sorted(official) == sorted(LONG_NAMES.get(name, name) for name in ours)


def test_the_name_of_an_experiment_is_in_the_name_of_the_official_server_alone(pair: Pair) -> None:
    official, ours = lists(pair)
    for name, long_name in LONG_NAMES.items():
        assert (name in official, long_name in official) == (False, True)
        assert (name in ours, long_name in ours) == (True, False)


def test_scorers_and_classifiers_have_the_same_names_and_order(pair: Pair) -> None:
    official, ours = lists(pair)
    for name in official.keys() - {"partial", *LONG_NAMES.values()}:
        assert official[name]["scores"] == ours[name]["scores"]
        assert official[name]["classifiers"] == ours[name]["classifiers"]


def test_a_partial_is_called_partial_by_the_official_server_and_by_its_function_by_ours(
    pair: Pair,
) -> None:
    official, ours = lists(pair)
    assert official["partial"]["scores"] == [{"name": "partial"}]
    assert ours["partial"]["scores"] == [{"name": "share"}]


@pytest.mark.parametrize("name", ["parameters", "required parameters"])
def test_declared_parameters_are_described_alike(pair: Pair, name: str) -> None:
    official, ours = (schemas(each, name) for each in lists(pair))
    # See the next test.
    ours.get("style", {}).pop("default", None)
    assert official == ours


def test_the_default_of_a_model_of_several_fields_is_listed_by_ours_alone(pair: Pair) -> None:
    official, ours = (schemas(each, "parameters")["style"] for each in lists(pair))
    assert "default" not in official
    assert ours["default"] == {"tone": "friendly", "words": 100}


@pytest.mark.parametrize("name", ["parameters", "required parameters"])
def test_declared_parameters_come_in_the_same_container(pair: Pair, name: str) -> None:
    for each in lists(pair):
        container = each[name]["parameters"]
        assert container["type"] == "braintrust.staticParameters"
        assert container["source"] is None


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("saved", None),
        ("saved by id", None),
        ("saved version", "41"),
        ("saved environment", "42"),
    ],
)
def test_saved_parameters_are_described_alike(pair: Pair, name: str, version: str | None) -> None:
    official, ours = lists(pair)
    assert official[name]["parameters"] == ours[name]["parameters"]
    assert official[name]["parameters"]["type"] == "braintrust.parameters"
    assert version in (None, official[name]["parameters"]["source"]["version"])


@pytest.mark.parametrize("name", ["echo", "no parameters", "empty parameters"])
def test_no_parameters_are_null_under_the_official_server_and_absent_under_ours(
    pair: Pair, name: str
) -> None:
    official, ours = lists(pair)
    assert official[name]["parameters"] is None
    assert "parameters" not in ours[name]


# --- Files that one of the two does not take ---


def test_parameters_as_dicts_break_the_official_list_and_work_under_ours(apart: Apart) -> None:
    official, ours = apart.both("eval_dicts.py")
    answer = requests.get(f"{official.url}/list", headers=official.headers, timeout=30)
    assert (answer.status_code, "Cannot convert" in answer.text) == (500, True)
    schema = ours.manifest()["dicts"]["parameters"]["schema"]
    assert schema["prefix"] == {
        "type": "data",
        "schema": {"type": "string"},
        "default": "hi",
        "description": "First word",
    }
    types = {name: parameter["schema"]["type"] for name, parameter in schema.items()}
    assert types == {
        "prefix": "string",
        "loud": "boolean",
        "count": "number",
        "words": "array",
        "more": "object",
    }
    events = ours.run("dicts", {"data": [{"input": 1}]}, parameters={"count": 2}, parent=PLAYGROUND)
    (seen,) = Outcome(events).outputs
    assert seen == {"prefix": "hi", "loud": False, "count": 2, "words": ["a"], "more": {"a": 1}}


def test_a_scorer_given_as_a_class_breaks_the_official_list_and_works_under_ours(
    apart: Apart,
) -> None:
    official, ours = apart.both("eval_class.py")
    answer = requests.get(f"{official.url}/list", headers=official.headers, timeout=30)
    assert (answer.status_code, "_name()" in answer.text) == (500, True)
    assert ours.manifest()["of a class"]["scores"] == [{"name": "Judge"}]


def test_of_two_evaluators_of_one_name_the_official_server_drops_one_and_ours_names_both(
    apart: Apart,
) -> None:
    official = apart.official("twice")
    assert list(official.manifest()) == ["twice"]
    log = apart.refusal("twice")
    assert "DuplicateEvaluatorError" in log
    for file in ("eval_one.py", "eval_two.py"):
        assert str(HERE / "apart" / "twice" / file) in log


def test_a_second_evaluator_of_a_name_is_renamed_by_the_official_server_and_refused_by_ours(
    apart: Apart,
) -> None:
    official = apart.official("eval_repeated.py")
    assert list(official.manifest()) == ["repeated", "repeated_1"]
    log = apart.refusal("eval_repeated.py")
    assert "DuplicateEvaluatorError" in log


def test_a_file_with_postponed_annotations_and_a_dataclass_is_loaded_by_ours_alone(
    apart: Apart,
) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        apart.official("eval_future.py")
    ours = apart.ours("eval_future.py")
    assert (
        ours.run("of a dataclass", {"data": [{"input": 1}]}, parent=PLAYGROUND)[-1].event == "done"
    )

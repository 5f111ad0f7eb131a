"""The answer of ``/list``. The page checks all of it at once: one slip hides every evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.json.provider import DefaultJSONProvider

from flask_braintrust_evals import EvalsBlueprint, Evaluator

from .support import Api, echo, make_app


def manifest_of(*evaluators: Evaluator, **config: Any) -> Any:
    app = make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none", **config)
    response = Api(app, token=None).get("/list")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    return response.get_json()


def schema_of(parameters: dict[str, Any]) -> Any:
    return manifest_of(Evaluator("echo", echo, parameters=parameters))["echo"]["parameters"][
        "schema"
    ]


def nulls(value: Any, path: str = "") -> Iterator[str]:
    """Where in a value there is a null."""
    if value is None:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from nulls(item, f"{path}/{key}")


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def topic(output: Any) -> dict[str, str]:
    return {"id": "food"}


def test_a_manifest_is_exactly_as_the_page_wants_it() -> None:
    evaluator = Evaluator(
        "food-classifier",
        echo,
        scores=[exact, lambda output: 1],
        classifiers=[topic],
        parameters={
            "prefix": {"type": "string", "default": "hi", "description": "First word"},
            "model": {"type": "model", "default": "gpt-5-mini"},
            "count": {"type": "integer", "minimum": 1},
            "nothing": {"type": ["string", "null"], "default": None},
        },
        description="for people",
    )
    assert manifest_of(evaluator) == {
        "food-classifier": {
            "parameters": {
                "type": "braintrust.staticParameters",
                "source": None,
                "schema": {
                    "prefix": {
                        "type": "data",
                        "schema": {"type": "string"},
                        "default": "hi",
                        "description": "First word",
                    },
                    "model": {"type": "model", "default": "gpt-5-mini"},
                    "count": {"type": "data", "schema": {"type": "integer", "minimum": 1}},
                    "nothing": {"type": "data", "schema": {"type": ["string", "null"]}},
                },
            },
            "scores": [{"name": "exact"}, {"name": "scorer_1"}],
            "classifiers": [{"name": "topic"}],
        }
    }


def test_an_evaluator_without_parameters_has_no_such_key() -> None:
    assert manifest_of(Evaluator("echo", echo)) == {"echo": {"scores": [], "classifiers": []}}


def test_without_evaluators_the_manifest_is_empty() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    app.register_blueprint(EvalsBlueprint("none", __name__), url_prefix="/none")
    assert Api(app, token=None, prefix="/none").get("/list").get_json() == {}


def test_the_source_of_parameters_is_the_only_null() -> None:
    parameters = {
        "a": {"type": "string", "default": None, "description": None},
        "b": {"type": "model", "default": None, "description": None},
        "c": {"type": "object", "default": {}},
        "d": {"type": "null"},
    }
    found = list(nulls(manifest_of(Evaluator("echo", echo, parameters=parameters))))
    assert found == ["/echo/parameters/source"]


@pytest.mark.parametrize("default", ["", 0, False, [], {}])
def test_a_default_that_is_falsy_is_a_default(default: Any) -> None:
    kinds: dict[type, str] = {
        str: "string",
        int: "integer",
        bool: "boolean",
        list: "array",
        dict: "object",
    }
    schema = schema_of({"a": {"type": kinds[type(default)], "default": default}})
    assert schema["a"]["default"] == default


def test_references_in_a_schema_are_resolved_in_place() -> None:
    city = {"type": "object", "properties": {"name": {"type": "string"}}}
    declared = {
        "type": "object",
        "properties": {"home": {"$ref": "#/$defs/city"}},
        "$defs": {"city": city},
    }
    schema = schema_of({"trip": declared})["trip"]["schema"]
    assert schema["properties"]["home"] == city


def test_evaluators_and_parameters_keep_their_order() -> None:
    names = ["zebra", "ant", "Mole", "bee"]
    parameters = {name: {"type": "string", "default": ""} for name in names}
    evaluators = [Evaluator(name, echo, parameters=parameters) for name in names]
    app = make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none")
    # An application may have its own JSON sort keys; the form would be out of order.
    assert isinstance(app.json, DefaultJSONProvider)
    app.json.sort_keys = True
    manifest = Api(app, token=None).get("/list").get_json()
    assert list(manifest) == names
    assert list(manifest["ant"]["parameters"]["schema"]) == names


def test_names_may_be_of_any_script() -> None:
    assert list(manifest_of(Evaluator("größe 大きさ", echo))) == ["größe 大きさ"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_manifest_is_the_same_by_either_method(method: str) -> None:
    api = Api(make_app(BRAINTRUST_EVALS_AUTH="none"), token=None)
    assert list(api.open(method, "/list").get_json()) == ["echo"]

"""The answer of ``/list``. The page checks all of it at once: one slip hides every evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from braintrust.parameters import RemoteEvalParameters
from flask.json.provider import DefaultJSONProvider
from pydantic import BaseModel

from flask_braintrust_evals import EvalsBlueprint, Evaluator
from flask_braintrust_evals.web.descriptions.manifest_schema import MANIFEST_SCHEMA
from tests.example_model import EXAMPLE_MODEL
from tests.web.support import Api, echo, make_app

CHECK = jsonschema.Draft202012Validator(MANIFEST_SCHEMA)


def manifest_of(*evaluators: Evaluator, **config: Any) -> Any:
    app = make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none", **config)
    response = Api(app, token=None).get("/list")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    manifest = response.get_json()
    CHECK.validate(manifest)
    return manifest


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
            "model": {"type": "model", "default": EXAMPLE_MODEL},
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
                    "model": {"type": "model", "default": EXAMPLE_MODEL},
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


class Temperature(BaseModel):
    value: float = 0.5


class Style(BaseModel):
    tone: str | None = None
    words: list[str] = []


PROMPT = {
    "prompt": {"type": "chat", "messages": [{"role": "user", "content": "{{x}}", "name": None}]}
}

EVERY_DECLARATION = {
    "text": {"type": "string", "default": "a", "description": "b", "enum": ["a", "c"]},
    "number": {"type": "number"},
    "whole": {"type": "integer", "default": 3, "minimum": 1},
    "switch": {"type": "boolean", "default": False},
    "list": {"type": "array", "items": {"type": "string"}, "default": ["a"]},
    "object": {
        "type": "object",
        "properties": {"inner": {"type": "object", "properties": {"x": {"default": None}}}},
        "default": {"inner": {"x": 1}},
    },
    "model": {"type": "model", "default": "m"},
    "prompt": {"type": "prompt", "default": PROMPT, "description": "d"},
    "bare prompt": {"type": "prompt", "name": "n", "default": None},
    "value": Temperature,
    "style": Style,
    "anything": None,
}


def test_every_kind_of_declaration_is_listed_as_the_page_takes_it() -> None:
    schema = schema_of(EVERY_DECLARATION)
    assert {name: each["type"] for name, each in schema.items()} == {
        **dict.fromkeys(EVERY_DECLARATION, "data"),
        "model": "model",
        "prompt": "prompt",
        "bare prompt": "prompt",
    }
    assert schema["object"]["schema"]["properties"]["inner"]["properties"] == {"x": {}}
    assert schema["prompt"]["default"]["prompt"]["messages"] == [
        {"role": "user", "content": "{{x}}"}
    ]
    assert schema["value"]["default"] == 0.5
    assert schema["anything"] == {"type": "data", "schema": {}}


@pytest.mark.parametrize("declaration", [Style, RemoteEvalParameters])
def test_all_parameters_in_one_declaration_are_listed_as_the_page_takes_it(
    declaration: Any,
) -> None:
    if declaration is RemoteEvalParameters:
        schema = {"type": "object", "properties": {"a": {"type": "string"}}}
        declaration = RemoteEvalParameters("i", "p", "n", "s", None, schema, {"a": "x"})
    assert manifest_of(Evaluator("e", echo, parameters=declaration))["e"]["parameters"]


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
    ],
    ids=["empty", "no type", "a boolean", "further properties"],
)
def test_a_saved_schema_of_another_form_is_listed_as_the_page_takes_it(schema: Any) -> None:
    saved = RemoteEvalParameters("i", "p", "n", "s", None, schema, {})
    assert manifest_of(Evaluator("e", echo, parameters=saved))["e"]["parameters"]


def listed(**parameters: Any) -> Any:
    container = {"type": "braintrust.staticParameters", "source": None, "schema": parameters}
    return {"e": {"scores": [], "classifiers": [], "parameters": container}}


@pytest.mark.parametrize(
    "broken",
    [
        {"e": {"scores": [], "classifiers": [], "parameters": None}},
        {"e": {"scores": [{"name": None}], "classifiers": []}},
        {"e": {"classifiers": []}},
        {"e": None},
        [],
        listed(),
        listed(a={"type": "data"}),
        listed(a={"type": "data", "schema": None}),
        listed(a={"type": "data", "schema": {}, "default": None}),
        listed(a={"type": "data", "schema": {}, "description": None}),
        listed(a={"type": "data", "schema": {"description": None}}),
        listed(a={"type": "data", "schema": {"$ref": "#/$defs/a"}}),
        listed(a={"type": "data", "schema": {"type": "object", "$defs": {}}}),
        listed(a={"type": "string"}),
        listed(a={"type": "model", "schema": {}}),
        listed(a={"type": "model", "default": 5}),
        listed(a={"type": "prompt", "schema": {}}),
        listed(a={"type": "prompt", "default": None}),
        listed(a={"type": "prompt", "default": {"prompt": None}}),
        listed(a={"type": "prompt", "default": PROMPT}),
        listed(a={"type": "prompt", "default": {"prompt": {"type": "chat"}}}),
    ],
)
def test_the_schema_of_the_manifest_refuses_what_the_page_refuses(broken: Any) -> None:
    assert not CHECK.is_valid(broken)

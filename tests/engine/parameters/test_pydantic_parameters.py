"""Parameters declared by pydantic models: listed as JSON Schemas, received as declared."""

from __future__ import annotations

import datetime
import enum
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.engine.parameters.declare import declare
from flask_braintrust_evals.engine.parameters.values import Parameters, ParameterSet
from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.web.descriptions.manifest import manifest
from tests.example_model import EXAMPLE_MODEL


class Mood(enum.Enum):
    CALM = "calm"
    LOUD = "loud"


class Temperature(BaseModel):
    value: float = Field(default=0.5, ge=0, le=2, description="How free the model is")


class Required(BaseModel):
    value: int


class Style(BaseModel):
    """How it is written."""

    mood: Mood = Mood.CALM
    words: list[str] = []


class Search(BaseModel):
    query: str
    style: Style


class Everything(BaseModel):
    model: Literal["small", "large"] = "small"
    style: Style = Style()
    since: datetime.date | None = None
    limit: int = Field(default=10, ge=1, description="How many")
    query: str

    @field_validator("query")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value


class Window(BaseModel):
    low: int = 0
    high: int = 10

    @model_validator(mode="after")
    def _ordered(self) -> Window:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Node(BaseModel):
    children: list[Node] = []


def parameters(**declaration: Any) -> ParameterSet:
    declared = declare(declaration, "e")
    assert isinstance(declared, ParameterSet)
    return declared


def listed(declaration: Any) -> dict[str, Any]:
    evaluator = Evaluator("e", lambda input: input, parameters=declaration)
    schema: dict[str, Any] = manifest([evaluator])["e"]["parameters"]["schema"]
    return schema


def no_nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return all(no_nulls(each) for each in value.values())
    if isinstance(value, list):
        return all(no_nulls(each) for each in value)
    return value is not None


def test_a_model_with_a_single_value_stands_for_the_value() -> None:
    values = parameters(temperature=Temperature)
    assert dict(values.validate({})) == {"temperature": 0.5}
    assert dict(values.validate({"temperature": 1})) == {"temperature": 1.0}
    assert listed({"temperature": Temperature}) == {
        "temperature": {
            "type": "data",
            "schema": {"maximum": 2, "minimum": 0, "title": "Value", "type": "number"},
            "default": 0.5,
            "description": "How free the model is",
        }
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1", "parameter 'temperature': input should be a valid number (got string)"),
        (True, "parameter 'temperature': input should be a valid number (got boolean)"),
        (3, "parameter 'temperature': input should be less than or equal to 2 (got integer)"),
        ([1], "parameter 'temperature': input should be a valid number (got array)"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(value: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        parameters(temperature=Temperature).validate({"temperature": value})
    assert str(refused.value) == message


def test_null_stands_for_no_value_as_in_the_sdk_unless_the_declaration_admits_it() -> None:
    class Limit(BaseModel):
        value: int | None = 3

    declared = parameters(temperature=Temperature, style=Style, limit=Limit)
    values = declared.validate({"temperature": None, "style": None, "limit": None})
    assert values == {"temperature": 0.5, "style": Style(), "limit": None}
    with pytest.raises(RequestError, match="'required' is required"):
        parameters(required=Required).validate({"required": None})


def test_a_value_that_is_required_is_asked_for() -> None:
    with pytest.raises(RequestError) as refused:
        parameters(n=Required).validate({})
    assert str(refused.value) == "parameter 'n' is required and has no default; expected integer"
    assert "default" not in listed({"n": Required})["n"]


def test_any_other_model_is_received_as_an_instance() -> None:
    values = parameters(style=Style).validate({"style": {"mood": "loud"}})
    assert values.style == Style(mood=Mood.LOUD)
    assert parameters(style=Style).validate({}).style == Style()


def test_a_default_instance_is_not_shared_between_runs() -> None:
    declared = parameters(style=Style)
    declared.validate({}).style.words.append("changed")
    assert declared.validate({}).style.words == []


def test_a_model_with_a_required_field_is_required() -> None:
    with pytest.raises(RequestError, match="parameter 'search' is required"):
        parameters(search=Search).validate({})
    with pytest.raises(RequestError) as refused:
        parameters(search=Search).validate({"search": {"style": {"words": [1]}}})
    assert str(refused.value) == (
        "parameter 'search'['query']: field required; parameter 'search'['style']['words'][0]:"
        " input should be a valid string (got integer)"
    )


def test_references_are_resolved_and_nothing_is_null() -> None:
    schema = listed({"search": Search, "any": None, "style": Style})
    assert no_nulls(schema)
    assert "$ref" not in str(schema) and "$defs" not in str(schema)
    style = schema["search"]["schema"]["properties"]["style"]
    assert style["properties"]["mood"]["enum"] == ["calm", "loud"]
    assert schema["style"]["default"] == {"mood": "calm", "words": []}
    assert schema["style"]["description"] == "How it is written."
    for each in schema.values():
        jsonschema.Draft202012Validator.check_schema(each["schema"])


def test_one_model_for_all_makes_each_field_a_parameter() -> None:
    schema = listed(Everything)
    assert list(schema) == ["model", "style", "since", "limit", "query"]
    assert no_nulls(schema)
    assert schema["model"]["schema"]["enum"] == ["small", "large"]
    assert schema["limit"]["default"] == 10
    assert schema["limit"]["description"] == "How many"
    assert "default" not in schema["since"] and "default" not in schema["query"]


def test_one_model_for_all_is_parsed_as_a_whole() -> None:
    declared = declare(Everything, "e")
    values = declared.validate({"query": "q", "since": "2026-01-02", "unknown": 1})
    assert values.since == datetime.date(2026, 1, 2)
    assert (values.style, values.model, values["limit"]) == (Style(), "small", 10)
    with pytest.raises(RequestError) as refused:
        declared.validate({"query": " ", "limit": "3"})
    assert str(refused.value) == (
        "parameter 'limit': input should be a valid integer (got string); parameter 'query': must"
        " not be blank (got string)"
    )
    with pytest.raises(RequestError, match="parameter 'query' is required"):
        declared.validate({})


def test_a_rule_over_several_fields_is_reported_for_all_parameters() -> None:
    with pytest.raises(RequestError) as refused:
        declare(Window, "e").validate({"low": 20})
    assert str(refused.value) == "parameters: low is above high (got object)"


def test_none_takes_any_value_or_none() -> None:
    declared = parameters(any=None)
    assert declared.validate({}).any is None
    assert declared.validate({"any": {"x": [1]}}).any == {"x": [1]}
    assert listed({"any": None}) == {"any": {"type": "data", "schema": {}}}


def test_a_model_that_contains_itself_is_refused_where_it_is_declared() -> None:
    with pytest.raises(RegistrationError) as refused:
        Evaluator("e", lambda input: input, parameters={"tree": Node}, location="evals.py:3")
    assert str(refused.value) == (
        "evaluator 'e', parameter 'tree': the reference '#/$defs/Node' leads back to itself"
        " ('e' is defined at evals.py:3)"
    ).replace("'#/$defs/Node'", "#/$defs/Node")


def test_declarations_may_be_mixed() -> None:
    def task(input: Any, hooks: EvalHooks) -> list[Any]:
        values: Parameters = hooks.parameters
        return [values.temperature, values["style"].mood.value, values.word, values.model]

    evaluator = Evaluator(
        "e",
        task,
        parameters={
            "temperature": Temperature,
            "style": Style,
            "word": {"type": "string", "default": "w"},
            "model": {"type": "model", "default": EXAMPLE_MODEL},
        },
    )
    result = evaluator.run([{"input": 1}], {"style": {"mood": "loud"}})
    assert result.results[0].output == [0.5, "loud", "w", EXAMPLE_MODEL]

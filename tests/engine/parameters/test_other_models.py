"""Parameters declared by models of pydantic 1, and by classes that only have their methods."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Optional

import jsonschema
import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.engine.parameters.declare import declare
from flask_braintrust_evals.engine.parameters.values import Parameters, ParameterSet
from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.serialization.json_writing import plain
from flask_braintrust_evals.web.descriptions.manifest import manifest

if sys.version_info >= (3, 14):
    pytest.skip("pydantic 1 does not run on this Python", allow_module_level=True)

from pydantic.v1 import BaseModel, Field, validator


class Temperature(BaseModel):
    value: float = Field(default=0.5, ge=0, le=2, description="How free the model is")


class Required(BaseModel):
    value: int


class Aliased(BaseModel):
    value: int = Field(default=3, alias="how many")

    class Config:
        allow_population_by_field_name = True


class Maybe(BaseModel):
    value: Optional[str] = None  # noqa: UP045 - pydantic 1 knows no other form on Python 3.10


class Inner(BaseModel):
    n: int = 1


class Style(BaseModel):
    """How it is written."""

    tone: str = "friendly"
    words: int = Field(default=100, alias="max words")
    inner: Inner = Inner()
    note: Optional[str] = None  # noqa: UP045

    @validator("tone")
    def _known(cls, value: str) -> str:
        if value == "rude":
            raise ValueError("must not be rude")
        return value


class Search(BaseModel):
    query: str
    limit: int = 10


class Duck:
    """A class that is no model, and passes for one."""

    def __init__(self, level: int = 3) -> None:
        self.level = level

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "properties": {"level": {"type": "integer", "default": 3}}}

    @classmethod
    def model_validate(cls, value: Any) -> Duck:
        if value.get("level") == 13:
            raise LookupError("no such level")
        return cls(**value)


def declared(specs: Any) -> ParameterSet:
    parameters = declare(specs, "e")
    assert isinstance(parameters, ParameterSet)
    return parameters


def values(specs: Any, given: dict[str, Any] | None = None) -> Parameters:
    return declared(specs).validate(given)


@pytest.mark.parametrize(
    ("specs", "given", "said"),
    [
        ({"t": Temperature}, {"t": "0.5"}, "parameter 't': '0.5' is not of type 'number' (got str"),
        ({"t": Temperature}, {"t": 3}, "parameter 't': 3 is greater than the maximum of 2"),
        ({"n": Required}, {}, "parameter 'n' is required and has no default; expected integer"),
        ({"n": Required}, {"n": None}, "parameter 'n' is required"),
        ({"s": Style}, {"s": {"tone": "rude"}}, "parameter 's'['tone']: must not be rude"),
        ({"s": Style}, {"s": {"inner": {"n": "1"}}}, "parameter 's'['inner']['n']: '1' is not of"),
        ({"s": Style}, {"s": {"tone": None}}, "parameter 's'['tone']: none is not an allowed"),
        ({"s": Style}, {"s": 5}, "parameter 's': 5 is not of type 'object'"),
        ({"s": Search}, {}, "parameter 's' is required"),
        ({"s": Search}, {"s": {"limit": 1}}, "parameter 's'['query']: field required"),
        ({"d": Duck}, {"d": {"level": "x"}}, "parameter 'd'['level']: 'x' is not of type"),
        ({"d": Duck}, {"d": {"level": 13}}, "parameter 'd': no such level"),
        (Search, {}, "parameter 'query' is required"),
        (Search, {"query": 1}, "parameter 'query': 1 is not of type 'string' (got integer)"),
        (Search, {"query": "a", "limit": None}, "parameter 'limit': none is not an allowed value"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_place(
    specs: Any, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestError) as caught:
        values(specs, given)
    assert str(caught.value).startswith(said)


def test_a_class_without_a_schema_is_refused_where_it_is_declared() -> None:
    class Broken(Duck):
        @classmethod
        def model_json_schema(cls) -> dict[str, Any]:
            raise RuntimeError("not today")

    class Nothing(Duck):
        model_json_schema: Callable[[], Any] = staticmethod(lambda: None)

    with pytest.raises(RegistrationError, match="'d': Broken has no JSON Schema: not today"):
        declare({"d": Broken}, "e")
    with pytest.raises(RegistrationError, match="Nothing has no JSON Schema: None is not an obj"):
        declare({"d": Nothing}, "e")
    with pytest.raises(RegistrationError, match="must be a dict with a 'type'"):
        declare({"d": int}, "e")


def test_a_single_value_is_given_as_it_is() -> None:
    assert values({"t": Temperature}).t == 0.5
    assert values({"t": Temperature}, {"t": None}).t == 0.5
    assert values({"t": Temperature}, {"t": 1}).t == 1.0
    assert values({"a": Aliased}, {"a": 4}).a == 4
    assert values({"m": Maybe}).m is None
    assert values({"m": Maybe}, {"m": None}).m is None
    assert values({"m": Maybe}, {"m": "x"}).m == "x"


def test_other_models_are_given_as_instances() -> None:
    assert values({"s": Style}).s == Style()
    given: dict[str, Any] = {"s": {"max words": 5, "inner": {"n": 2}, "note": None}}
    assert values({"s": Style}, given).s == Style(**given["s"])
    assert values({"s": Search}, {"s": {"query": "q"}}).s.query == "q"
    assert values({"d": Duck}).d.level == 3
    assert values({"d": Duck}, {"d": {"level": 4}}).d.level == 4


def test_one_model_declares_all_parameters() -> None:
    assert dict(values(Search, {"query": "q"})) == {"query": "q", "limit": 10}
    assert values(Style, {"max words": 7})["max words"] == 7
    assert values(Duck, {"level": 5}).level == 5


def test_the_list_has_their_schemas_without_references() -> None:
    specs = {"t": Temperature, "s": Style, "d": Duck, "n": Required, "a": Aliased}
    listed = manifest([Evaluator("e", lambda input: input, parameters=specs)])
    schema = listed["e"]["parameters"]["schema"]
    assert schema["t"]["schema"]["type"] == "number"
    assert (schema["t"]["default"], schema["t"]["description"]) == (0.5, "How free the model is")
    assert schema["a"]["schema"]["type"] == "integer"
    assert "$ref" not in str(schema)
    assert schema["d"]["default"] == {}
    assert "default" not in schema["n"]
    for each in schema.values():
        jsonschema.Draft202012Validator.check_schema(each["schema"])


def test_an_instance_is_written_as_an_object() -> None:
    assert plain(Style())["inner"] == {"n": 1}
    assert plain([Temperature()]) == [{"value": 0.5}]

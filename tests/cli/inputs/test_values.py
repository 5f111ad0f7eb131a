"""Parameters of the command line that are saved in Braintrust: what their schemas say of texts."""

from __future__ import annotations

from typing import Any

import click
import pytest

from flask_braintrust_evals.cli.inputs.values import parse_parameters
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet

SCHEMA = {
    "type": "object",
    "properties": {
        "choice": {"enum": ["1", "2"]},
        "constant": {"const": "1"},
        "referred": {"$ref": "#/$defs/Text"},
        "all": {"allOf": [{"type": "string"}, {"minLength": 1}]},
        "narrowed": {"allOf": [{"type": ["string", "null"]}, {"type": "string"}]},
        "whole": {"allOf": [{"type": ["number", "string"]}, {"type": ["integer", "null"]}]},
        "referred all": {"allOf": [{"$ref": "#/$defs/Text"}], "description": "d"},
        "open": {"anyOf": [{"type": "integer"}, {}]},
        "text or number": {"type": ["string", "number"]},
        "either": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Object"}]},
        "model": {"x-bt-type": "model"},
        "number": {"type": "number"},
        "either list": {"type": ["array", "null"]},
        "nowhere": {"$ref": "#/$defs/Nothing"},
        "circle": {"$ref": "#/properties/circle"},
    },
    "$defs": {"Text": {"type": "string"}, "Object": {"type": "object"}},
}


@pytest.fixture
def evaluator() -> Evaluator:
    saved = SavedParameterSet(SCHEMA, {}, {})
    return Evaluator("e", lambda input: input, parameters=saved)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("choice=1", "1"),
        ("constant=1", "1"),
        ("referred=1", "1"),
        ("all=1", "1"),
        ("narrowed=null", "null"),
        ("whole=5", 5),
        ("referred all=1", "1"),
        ("open=words", "words"),
        ("open=1", 1),
        ("text or number=5", 5),
        ('text or number="5"', "5"),
        ("text or number=[5]", "[5]"),
        ('text or number="five', '"five'),
        ("text or number=NaN", "NaN"),
        ("text or number=1e400", "1e400"),
        ("either=1", "1"),
        ('either={"a": 1}', {"a": 1}),
        ("model=4", "4"),
        ("number=4", 4),
        ("circle=4", 4),
        ("nowhere=4", 4),
    ],
)
def test_a_text_is_read_as_its_schema_has_it(evaluator: Evaluator, given: str, value: Any) -> None:
    assert parse_parameters([given], None, [evaluator]) == [{given.partition("=")[0]: value}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("whole=five", "not valid JSON for type integer"),
        ("number=NaN", "not valid JSON for type number, such as 0.5: NaN is no JSON value"),
        ("number=-1e400", "such as 0.5: -1e400 is larger than a float can be"),
        ("either list=" + "[" * 1_000_000, "not valid JSON for type array or null, .* nested too"),
    ],
)
def test_a_text_that_all_parts_of_a_schema_forbid_is_an_error(
    evaluator: Evaluator, given: str, said: str
) -> None:
    with pytest.raises(click.BadParameter, match=said):
        parse_parameters([given], None, [evaluator])


def test_a_text_that_is_no_prompt_is_an_error_that_shows_one() -> None:
    evaluator = Evaluator("e", lambda input: input, parameters={"main": {"type": "prompt"}})
    said = '^main=Hi {{name}}: not valid JSON for type prompt, such as {"prompt": {"type": "chat"'
    with pytest.raises(click.BadParameter, match=said):
        parse_parameters(["main=Hi {{name}}\n"], None, [evaluator])


def test_a_name_that_is_not_saved_is_an_error(evaluator: Evaluator) -> None:
    with pytest.raises(click.BadParameter, match="no parameter is named 'nobody'; there are: 'ch"):
        parse_parameters(["nobody=1"], None, [evaluator])

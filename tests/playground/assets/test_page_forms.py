"""Which controls the local page makes for the schemas of parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.web.descriptions.manifest import detailed_manifest, manifest

from .page_modules import needs_node, run_in_node

READ = """
import { described, fits } from "./schemas.js";
const read = ([schema, value]) => {
  const made = described(schema);
  return [made.kind, made.nullable, fits(made, value)];
};
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(read)));
"""
NULL, TEXT, WHOLE = {"type": "null"}, {"type": "string"}, {"type": "integer"}
TEXTS = {"type": "array", "items": TEXT}
OBJECT = {"type": "object", "properties": {"a": TEXT, "b": {"anyOf": [TEXT, NULL]}}}
SCHEMAS: list[tuple[Any, Any, list[Any]]] = [
    (TEXT, "x", ["string", False, True]),
    (TEXT, 5, ["string", False, False]),
    ({"anyOf": [TEXT, NULL]}, "x", ["string", True, True]),
    ({"type": ["string", "null"]}, "x", ["string", True, True]),
    ({"type": ["integer", "number"]}, 1.5, ["number", False, True]),
    ({"anyOf": [WHOLE, TEXT]}, 1, ["mixed", False, True]),
    ({"type": ["string", "array", "null"]}, [], ["mixed", True, True]),
    ({}, {"x": 1}, ["mixed", False, True]),
    ({"anyOf": [OBJECT, TEXTS]}, [], ["json", False, True]),
    (TEXTS, ["a"], ["list", False, True]),
    (TEXTS, ["a", 1], ["list", False, False]),
    ({"type": "array"}, [1], ["json", False, True]),
    ({"type": "array", "prefixItems": [TEXT]}, ["x"], ["json", False, True]),
    (OBJECT, {"a": "x", "b": None}, ["object", False, True]),
    (OBJECT, {"a": "x", "other": 1}, ["object", False, False]),
    (OBJECT, {"a": None}, ["object", False, False]),
    ({"type": "object", "additionalProperties": WHOLE}, {"x": 1}, ["map", False, True]),
    ({"type": "object"}, {"x": 1}, ["json", False, True]),
]


@needs_node
@pytest.mark.slow
def test_a_schema_has_a_control_that_suits_it(tmp_path: Path) -> None:
    given = json.dumps([[schema, value] for schema, value, _ in SCHEMAS])
    found = run_in_node(tmp_path, READ, [given])
    assert found == [expected for _, _, expected in SCHEMAS]


def test_the_page_is_told_which_parameters_are_required_and_the_playground_is_not() -> None:
    parameters = {"needed": {"type": "string"}, "not": {"type": "string", "default": None}}
    evaluator = Evaluator("e", lambda input: input, parameters=parameters)
    described = detailed_manifest([evaluator])["e"]["parameters"]["schema"]
    assert described["needed"]["required"] is True
    assert "required" not in described["not"]
    plain = manifest([evaluator])["e"]["parameters"]["schema"]
    assert not [each for each in plain.values() if "required" in each]

"""Describes evaluators, for ``flask evals list``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flask_braintrust_evals.cli.inputs.values import MAX_DEPTH, schema_types
from flask_braintrust_evals.cli.terminal.terminal import styled
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.engine.parameters.schemas import referred
from flask_braintrust_evals.engine.parameters.values import UNSET, Parameter
from flask_braintrust_evals.engine.values.summary import cases_text
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.texts.excerpts import shortened
from flask_braintrust_evals.texts.safe_texts import clean_text

MAX_DEFAULT = 60
"""Characters of a default that are shown."""
MAX_CHOICES = 8
"""Allowed values that are shown, and fields of objects."""
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "minLength": "length at least {}",
    "maxLength": "length at most {}",
    "format": "format {}",
    "pattern": "matches {}",
    "minItems": "length at least {}",
    "maxItems": "length at most {}",
}
"""How the keywords of JSON Schema by which values are limited are shown."""


def listed(evaluators: Iterable[Evaluator]) -> str:
    """Return the evaluators as text for people."""
    return "\n".join(line for each in evaluators for line in _lines(describe(each)))


def listed_as_json(evaluators: Iterable[Evaluator]) -> str:
    """Return the evaluators as a JSON array."""
    described = [describe(each) for each in evaluators]
    return clean_text(json.dumps(described, ensure_ascii=False, indent=2))


def describe(evaluator: Evaluator) -> dict[str, Any]:
    """Return what there is to know of an evaluator as values of JSON.

    ``cases`` is the number of its own cases, or null where that is known only when they are read,
    or where it has none.
    """
    data = evaluator.data
    return {
        "name": evaluator.name,
        "description": evaluator.description,
        "scores": [call.name for call in evaluator.plan.scorers],
        "classifiers": [call.name for call in evaluator.plan.classifiers],
        "parameters": _parameters(evaluator),
        "has_data": data is not None,
        "cases": len(data) if isinstance(data, list | tuple) else None,
        "trial_count": evaluator.trial_count,
        "location": evaluator.location,
    }


def _lines(described: Mapping[str, Any]) -> Iterable[str]:
    yield styled(described["name"], bold=True)
    if described["description"]:
        yield styled(f"  {described['description'].splitlines()[0]}")
    made = [*described["scores"], *described["classifiers"]]
    yield styled(f"  scores: {', '.join(made) or 'none'}")
    if described["parameters"]:
        yield "  parameters:"
        texts = map(_parameter_text, described["parameters"])
        yield from (styled("    " + text.replace("\n", "\\n")) for text in texts)
    if described["has_data"]:
        count = described["cases"]
        yield f"  own data: {'yes' if count is None else cases_text(count)}"


def _parameter_text(parameter: Mapping[str, Any]) -> str:
    texts = [parameter["type"]]
    if "choices" in parameter:
        texts.append(f"one of {_some(map(dumps_or_reason, parameter['choices']))}")
    for keyword, value in parameter.get("limits", {}).items():
        shown = value if isinstance(value, str) else dumps_or_reason(value)
        texts.append(_LIMITS[keyword].format(shortened(shown, MAX_DEFAULT)))
    if parameter["required"]:
        if "fields" in parameter:
            texts.append(f"fields {_some(parameter['fields'])}")
        texts.append("required")
    else:
        texts.append(f"default {shortened(dumps_or_reason(parameter['default']), MAX_DEFAULT)}")
    text = f"{parameter['name']}: {', '.join(texts)}"
    description = parameter["description"]
    return f"{text} ({description.splitlines()[0]})" if description else text


def _some(texts: Iterable[str]) -> str:
    shown = [*texts]
    return ", ".join(shown if len(shown) <= MAX_CHOICES else [*shown[:MAX_CHOICES], "…"])


def _parameters(evaluator: Evaluator) -> list[dict[str, Any]]:
    parameters = evaluator.parameter_set
    if not isinstance(parameters, SavedParameterSet):
        return [_declared(each) for each in parameters]
    properties, required = parameters.schema["properties"], parameters.schema.get("required", ())
    values = parameters.saved_values()
    return [
        _described(name, schema, values.get(name, UNSET), name in required, parameters.schema)
        for name, schema in properties.items()
    ]


def _declared(parameter: Parameter) -> dict[str, Any]:
    if parameter.kind != "data":
        schema: Mapping[str, Any] = {"x-bt-type": parameter.kind}
    else:
        schema = parameter.schema
    described = _described(parameter.name, schema, parameter.default, True, parameter.schema)
    return {**described, "description": parameter.description or described["description"]}


def _described(
    name: str, schema: Any, default: Any, required: bool, root: Mapping[str, Any]
) -> dict[str, Any]:
    known = schema if isinstance(schema, Mapping) else {}
    kind = known.get("x-bt-type")
    types = sorted(schema_types(schema, root), key=lambda each: (each == "null", each))
    described: dict[str, Any] = {
        "name": name,
        "type": kind if kind in ("model", "prompt") else " or ".join(types) or "any",
        "required": required and default is UNSET,
        "default": None if default is UNSET else _plain(default),
        "description": known.get("description"),
    }
    allowed, may_be_null = _alternative(schema, root)
    choices = _plain([allowed["const"]] if "const" in allowed else allowed.get("enum"))
    if choices:
        described["choices"] = [*choices, None] if may_be_null and None not in choices else choices
    limits = {keyword: _plain(allowed[keyword]) for keyword in _LIMITS if keyword in allowed}
    if limits:
        described["limits"] = limits
    if allowed.get("properties"):
        described["fields"] = [*allowed["properties"]]
    return described


def _plain(value: Any) -> Any:
    return json.loads(dumps_or_reason(value))


def _alternative(
    schema: Any, root: Mapping[str, Any], depth: int = 0
) -> tuple[Mapping[str, Any], bool]:
    """Return the keywords for the values other than null, and whether null is allowed beside them.

    Where the values are those of another schema, its keywords are added to those of this one.
    """
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return {}, False
    if "$ref" in schema:
        members = [referred(root, str(schema["$ref"]))]
    else:
        members = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []
    others = [each for each in members if each != {"type": "null"}]
    if len(others) != 1:
        return schema, False
    found, may_be_null = _alternative(others[0], root, depth + 1)
    may_be_null = may_be_null or len(others) < len(members)
    # Choices of the schema itself hold for null, too.
    return {**found, **schema}, may_be_null and not schema.keys() & {"const", "enum"}

"""Declares parameters: by JSON Schemas, as models and prompts, by pydantic models, or as saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema

from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.texts.excerpts import shortened
from flask_braintrust_evals.texts.suggestions import is_misspelled

from .model_fields import DeclaringModel
from .other_models import OtherModel, is_other_model
from .prompt_parameters import prompt_parameter
from .pydantic_models import PydanticModel, is_model
from .saved import SavedParameterSet, is_saved
from .schema_check import SchemaCheck
from .schemas import json_type, path_text, whole_schema
from .values import UNSET, Parameter, ParameterSet, check_default

_KEYWORDS = jsonschema.Draft202012Validator.VALIDATORS
_KEYS = ("default", "description", *(each for each in _KEYWORDS if each != "const"))
"""Keys that have a meaning. JSON Schema ignores others, and so would ignore a misspelled one.

``const`` is not looked for, since ``cost`` is a word of its own.
"""
DATA_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")


def declare(declaration: Any, evaluator: str) -> ParameterSet | SavedParameterSet:
    """Return the parameters of a declaration.

    Args:
        declaration: a pydantic model class, each field of which is a parameter; what
            ``load_parameters`` of the ``braintrust`` SDK returns; or a mapping of names to any of

            - a JSON Schema with a ``type``, and optionally a ``default`` and a ``description``;
            - ``{"type": "model"}``, the name of a model, with the same options;
            - ``{"type": "prompt"}``, a prompt, with the same options and a ``name``;
            - a pydantic model class with a single field ``value``: tasks get that value;
            - any other pydantic model class: tasks get an instance of it;
            - a model class of pydantic 1, or a class with the same methods: likewise;
            - ``None``: any value; the default is ``None``.
        evaluator: the evaluator's name, for messages.

    Raises:
        RegistrationError: the declaration is not valid.
    """
    if isinstance(declaration, ParameterSet | SavedParameterSet):
        return declaration
    if is_saved(declaration):
        return SavedParameterSet.of(declaration, evaluator)
    kind = _kind_of(declaration)
    if kind is not None:
        where = f"evaluator {evaluator!r}, parameters of {declaration.__name__}"
        return kind(declaration, where).parameters()
    if not isinstance(declaration, Mapping):
        raise RegistrationError(
            f"evaluator {evaluator!r}: parameters must be a mapping of names to schemas, or a"
            f" pydantic model class, not {declaration!r}"
        )
    return ParameterSet(
        {name: _declare(name, spec, evaluator) for name, spec in declaration.items()}
    )


def _kind_of(declaration: Any) -> type[DeclaringModel] | None:
    """Return what declares parameters by a model; ``None``: it is no model."""
    if is_model(declaration):
        return PydanticModel
    return OtherModel if is_other_model(declaration) else None


def _declare(name: Any, spec: Any, evaluator: str) -> Parameter:
    where = f"evaluator {evaluator!r}, parameter {name!r}"
    if not isinstance(name, str) or not name:
        raise RegistrationError(f"{where}: a parameter's name must be a string")
    if spec is None:
        return Parameter(name, "data", {}, lambda value: value, default=None)
    kind = _kind_of(spec)
    if kind is not None:
        return kind(spec, where).parameter(name)
    if not isinstance(spec, Mapping):
        raise RegistrationError(
            f"{where}: must be a dict with a 'type', a pydantic model class, or None, not {spec!r}"
        )
    return _schema(name, spec, where)


def _check_keys(spec: Mapping[str, Any], where: str) -> None:
    for key in spec:
        if not isinstance(key, str) or key in _KEYS:
            continue
        meant = next((each for each in _KEYS if is_misspelled(key, each)), None)
        if meant is not None and meant not in spec:
            raise RegistrationError(f"{where}: no key {key!r}; did you mean {meant!r}?")


def _schema(name: str, spec: Mapping[str, Any], where: str) -> Parameter:
    _check_keys(spec, where)
    kind = spec.get("type")
    types = kind if isinstance(kind, list) else [kind]
    if kind not in ("model", "prompt") and not all(each in DATA_TYPES for each in types):
        raise RegistrationError(
            f"{where}: 'type' is {kind!r}, but must be one of {', '.join(DATA_TYPES)}, model or"
            " prompt"
        )
    description = spec.get("description")
    if description is not None and not isinstance(description, str):
        raise RegistrationError(f"{where}: 'description' must be a string, not {description!r}")
    if kind == "prompt":
        return prompt_parameter(name, spec, where)
    schema = {k: v for k, v in spec.items() if k not in ("default", "description")}
    schema = whole_schema({"type": "string"} if kind == "model" else schema, where)
    check = SchemaCheck(schema)

    def parse(value: Any) -> Any:
        error = check.error(value)
        if error is not None:
            path = path_text(error.absolute_path)
            message = shortened(error.message)
            raise RequestError(
                f"parameter {name!r}{path}: {message} (got {json_type(error.instance)})"
            )
        return value

    default = spec.get("default", UNSET)
    check_default(default, parse, where)
    if kind == "model":
        default = UNSET if default is None else default
        return Parameter(name, "model", schema, parse, default, description, null_is_absent=True)
    return Parameter(name, "data", schema, parse, default, description)

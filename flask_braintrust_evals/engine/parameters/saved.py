"""Parameters that are saved in Braintrust, as a JSON Schema with values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema

from flask_braintrust_evals.engine.values.copies import deep_copy
from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.texts.excerpts import shortened

from .model_params import check_params
from .prompt_parameters import check_prompt
from .prompts import Prompt
from .schema_check import SchemaCheck
from .schemas import json_type, path_text
from .values import Parameters

_FIELDS = ("id", "project_id", "name", "slug", "version")


class SavedParameterSet:
    """All parameters of an evaluator, as they are saved in Braintrust.

    Attributes:
        schema: the JSON Schema of an object with all values. ``x-bt-type`` marks properties that
            are a ``"prompt"`` or a ``"model"``.
        source: ``id``, ``project_id``, ``name``, ``slug`` and ``version`` of the saved object.
    """

    def __init__(
        self, schema: Mapping[str, Any], data: Mapping[str, Any], source: Mapping[str, str | None]
    ) -> None:
        self.schema = dict(schema)
        self.source = dict(source)
        self._data = dict(data)
        properties = self.schema.get("properties")
        self._properties: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
        self._prompts = [
            name
            for name, property in self._properties.items()
            if isinstance(property, Mapping) and property.get("x-bt-type") == "prompt"
        ]
        # Draft 7 as in the braintrust SDK, unless the schema names another.
        self._check = SchemaCheck(self.schema, jsonschema.Draft7Validator)

    @classmethod
    def of(cls, value: Any, evaluator: str) -> SavedParameterSet:
        """Return the parameters that ``load_parameters`` of the ``braintrust`` SDK has loaded.

        Raises:
            RegistrationError: the schema is not valid, or the saved values do not fit it.
        """
        source = {name: getattr(value, name) for name in _FIELDS}
        where = f"evaluator {evaluator!r}: the saved parameters {source['slug']!r}"
        if not isinstance(value.schema, Mapping) or not isinstance(value.data, Mapping):
            raise RegistrationError(f"{where} have a schema or values that are no objects")
        parameters = cls(value.schema, value.data, source)
        try:
            parameters._check.check_schema()
            problem = parameters._problem(parameters._with_defaults({}), ignore=("required",))
            if problem is None:
                parameters._with_prompts(parameters._with_defaults({}))
        except jsonschema.SchemaError as error:
            raise RegistrationError(
                f"{where} have a schema that is no JSON Schema: {error.message}"
            ) from None
        except RequestError as error:
            problem = str(error)
        if problem is not None:
            raise RegistrationError(f"{where} have values that do not fit their schema: {problem}")
        return parameters

    def __len__(self) -> int:
        return len(self._properties)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(self._properties)

    def saved_values(self) -> dict[str, Any]:
        """Return the values that a run has which gives none: those saved, or the defaults."""
        return self._with_defaults({})

    def validate(self, values: Mapping[str, Any] | None) -> Parameters:
        """Return the values of a run: for each name the given, the saved or the default value.

        Names that the schema does not have are ignored.

        Raises:
            RequestError: the schema does not allow a value, or a required one is missing.
        """
        given = {k: v for k, v in (values or {}).items() if k in self._properties}
        merged = self._with_defaults(given)
        problem = self._problem(merged)
        if problem is not None:
            raise RequestError(problem)
        return Parameters(self._with_prompts(merged))

    def _with_prompts(self, merged: dict[str, Any]) -> dict[str, Any]:
        for name in self._prompts:
            if name in merged:
                check_prompt(merged[name], name)
                own = self._data.get(name)
                default = self._properties[name].get("default")
                check_params(merged[name], name, default if own is None else own)
                merged[name] = Prompt(name, merged[name])
        return merged

    def _with_defaults(self, given: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = deep_copy({**self._data, **given})
        _fill(merged, self.schema)
        return merged

    def _problem(self, values: Mapping[str, Any], ignore: tuple[str, ...] = ()) -> str | None:
        error = self._check.error(values, ignore)
        if error is None:
            return None
        message = shortened(error.message)
        if not error.absolute_path:
            return f"parameters: {message}"
        name, *rest = error.absolute_path
        path = path_text(rest)
        return f"parameter {name!r}{path}: {message} (got {json_type(error.instance)})"


def is_saved(value: Any) -> bool:
    """Return whether ``value`` is what ``load_parameters`` of the ``braintrust`` SDK returns."""
    return not isinstance(value, type | Mapping) and all(
        hasattr(value, name) for name in (*_FIELDS, "schema", "data")
    )


def _has_default(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema has a default. The SDK saves null if there is none."""
    kinds = schema.get("type", "null")
    is_null_valid = "null" in kinds if isinstance(kinds, list) else kinds == "null"
    return "default" in schema and (schema["default"] is not None or is_null_valid)


def _fill(values: Any, schema: Any) -> None:
    """Set missing entries of an object, and of the objects in it, to the schema's defaults."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(values, dict) or not isinstance(properties, Mapping):
        return
    for name, inner in properties.items():
        if not isinstance(inner, Mapping):
            continue
        if name not in values and _has_default(inner):
            values[name] = deep_copy(inner["default"])
        value = values.get(name)
        for each in value if isinstance(value, list) else [value]:
            _fill(each, inner.get("items") if isinstance(value, list) else inner)

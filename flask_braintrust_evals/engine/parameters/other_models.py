"""Parameters that are declared by models of pydantic 1, or by classes with the same methods.

The ``braintrust`` SDK takes any class that has a JSON Schema (``model_json_schema()`` or
``schema()``) and makes instances of values (``parse_obj()`` or ``model_validate()``).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.serialization.json_writing import plain
from flask_braintrust_evals.texts.excerpts import shortened

from .model_fields import SCHEMA_METHODS, DeclaringModel, subject_of
from .prompts import without_nulls
from .schema_check import SchemaCheck
from .schemas import json_type
from .values import UNSET

_PARSE_METHODS = ("parse_obj", "model_validate")


def is_other_model(value: Any) -> bool:
    """Return whether ``value`` is a class with the methods of a model."""
    return inspect.isclass(value) and all(
        any(callable(getattr(value, name, None)) for name in names)
        for names in (SCHEMA_METHODS, _PARSE_METHODS)
    )


class OtherModel(DeclaringModel):
    """A class with the methods of a model that declares parameters."""

    def __init__(self, model: Any, where: str) -> None:
        super().__init__(model, where)
        self._check = SchemaCheck(self._schema)
        self.names = _field_names(model, self._schema)

    def _instance(self) -> Any:
        try:
            return self._model()
        except Exception:  # one of its fields is required
            return UNSET

    def _default(self) -> Any:
        instance = self._instance()
        if instance is UNSET:
            return UNSET
        value = plain(instance)
        return value if isinstance(value, dict) else {}  # from which an instance is made anew

    def _default_of_value(self) -> Any:
        instance = self._instance()
        return UNSET if instance is UNSET else plain(instance.value)

    def _default_of_field(self, shown: str) -> Any:
        is_required = shown in self._schema.get("required", ())
        return UNSET if is_required else self._described(shown).get("default")

    def _parse(self, value: Any, name: str | None, skip: int = 0) -> Any:
        # Such models convert "3" to a number. Therefore the value is first compared with the
        # schema. Those of pydantic 1 do not say which fields may be null: the model knows it.
        worst = self._check.error(without_nulls(value), ignore=("required",))
        if worst is not None:
            subject = subject_of(worst.absolute_path, name, skip)
            message = shortened(worst.message)
            raise RequestError(f"{subject}: {message} (got {json_type(worst.instance)})")
        method = next(made for each in _PARSE_METHODS if (made := getattr(self._model, each, None)))
        try:
            return method(value)
        except Exception as error:  # each library has a class of its own
            raise RequestError("; ".join(_explain(error, name, skip))) from None


def _field_names(model: Any, schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the model's attributes, by the names that the fields have in JSON."""
    fields = getattr(model, "model_fields", None) or getattr(model, "__fields__", None)
    if not isinstance(fields, Mapping):
        return {name: name for name in schema.get("properties", {})}
    return {getattr(field, "alias", None) or name: name for name, field in fields.items()}


def _explain(error: Exception, name: str | None, skip: int) -> list[str]:
    errors = getattr(error, "errors", None)
    try:
        details = errors() if callable(errors) else []
        found = [
            f"{subject_of([step for step in each['loc'] if step != '__root__'], name, skip)}:"
            f" {each['msg']}"
            for each in details[:5]
        ]
    except Exception:  # not pydantic's form
        found = []
    return found or [f"{subject_of([], name, 0)}: {error}"]

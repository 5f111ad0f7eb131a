"""Parameters that are declared by pydantic models: one value, one object, or all parameters."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel, ValidationError

from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.serialization.json_writing import dumps, plain
from flask_braintrust_evals.texts.excerpts import shortened

from .model_fields import DeclaringModel, subject_of
from .pydantic_errors import first_errors, found
from .values import UNSET

_MAX_ERRORS = 5
"""Errors that a message names."""


def is_model(value: Any) -> bool:
    """Return whether ``value`` is a class of pydantic models."""
    return inspect.isclass(value) and issubclass(value, BaseModel)


class PydanticModel(DeclaringModel):
    """A class of pydantic models that declares parameters."""

    def __init__(self, model: type[BaseModel], where: str) -> None:
        super().__init__(model, where)
        self._fields = model.model_fields
        self.names = {field.alias or name: name for name, field in self._fields.items()}

    def _default(self) -> Any:
        try:
            return plain(self._model())
        except ValidationError:
            return UNSET

    def _default_of_value(self) -> Any:
        (name,) = self.names
        return self._default_of_field(name)

    def _default_of_field(self, shown: str) -> Any:
        field = self._fields[self.names[shown]]
        if field.is_required():
            return UNSET
        value = field.get_default(call_default_factory=True)
        return None if value is None else plain(value)

    def _parse(self, value: Any, name: str | None, skip: int = 0) -> Any:
        try:
            # As JSON text, because "strict" then accepts a string for a date, which has no type of
            # its own in JSON. It does not accept a string for a number.
            return self._model.model_validate_json(dumps(value), strict=True)
        except ValidationError as error:
            raise RequestError("; ".join(_explain(error, name, skip))) from None


def _explain(error: ValidationError, name: str | None, skip: int) -> list[str]:
    explained = []
    for each in first_errors(error, _MAX_ERRORS):
        subject = subject_of(each["loc"], name, skip)
        message = each["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        kind = "" if each["type"] == "missing" else found(each)
        explained.append(shortened(f"{subject}: {message}{f' (got {kind})' if kind else ''}"))
    return explained

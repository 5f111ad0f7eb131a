"""Checks values of parameters against JSON Schemas, within bounds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import jsonschema
from jsonschema import ValidationError
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.texts.excerpts import excerpt

from .bounded_keywords import MAX_ERRORS, Keyword, bounded
from .check_work import Work, current

_SMALL = 1_000
"""Characters, roughly, of a value that messages quote as a whole."""


class SchemaCheck:
    """A JSON Schema that values are checked against.

    Args:
        schema: the schema; references in it are not fetched.
        version: the class of validators for its version of JSON Schema, unless it names one.
    """

    def __init__(self, schema: Mapping[str, Any], version: Any = None) -> None:
        version = jsonschema.Draft202012Validator if version is None else version
        if isinstance(schema.get("$schema"), str):
            version = jsonschema.validators.validator_for(schema, version)
        self._schema = schema
        self._version = version

    @functools.cached_property
    def _validator(self) -> Any:
        """What checks values. The library makes it of valid schemas only."""
        # A schema that names its version would be checked by the library's own class where a
        # reference leads to it.
        plain_schema = {key: each for key, each in self._schema.items() if key != "$schema"}
        # The empty registry fetches nothing: users who may edit a schema that is saved in
        # Braintrust must not make this server send requests.
        return _with_bounds(self._version)(plain_schema, registry=Registry())

    def check_schema(self) -> None:
        """Check the schema itself.

        Raises:
            jsonschema.SchemaError: it is not a valid schema.
        """
        self._version.check_schema(self._schema)

    def error(self, value: Any, ignore: Iterable[str] = ()) -> ValidationError | None:
        """Return what is wrong with a value, the best of the first errors; ``None``: nothing.

        Under gevent, other greenlets run meanwhile.

        Args:
            value: the value.
            ignore: keywords whose errors do not count.

        Raises:
            RequestError: the check takes too long, a limit of a keyword is exceeded, or references
                lead nowhere, to what is no schema, or back to themselves more often than Python can
                follow.
        """
        token = current.set(Work())
        try:
            errors = self._validator.iter_errors(_shown_in_part(value))
            counted = (error for error in errors if error.validator not in ignore)
            best: ValidationError | None = best_match(islice(counted, MAX_ERRORS))
            return best
        except RecursionError:
            raise RequestError(
                "parameters: a value is nested too deep for its schema, whose references lead back"
                " to themselves"
            ) from None
        except Unresolvable as error:
            raise RequestError(
                f"parameters: a reference in their schema leads nowhere: {error.ref}"
            ) from None
        except RequestError:
            raise
        except Exception as error:  # the library has not checked what references lead to
            raise RequestError(
                "parameters: a reference in their schema leads to what is no JSON Schema"
                f" ({type(error).__name__})"
            ) from None
        finally:
            current.reset(token)


@functools.cache
def _with_bounds(version: Any) -> Any:
    """Return a class of validators whose keywords are bounded."""
    keywords = {name: _stepping(each) for name, each in bounded(version.VALIDATORS).items()}
    return jsonschema.validators.extend(version, keywords)  # type: ignore[no-untyped-call]


def _stepping(keyword: Keyword) -> Callable[..., Iterable[ValidationError] | None]:
    def stepping(
        validator: Any, value: Any, instance: Any, schema: Any
    ) -> Iterable[ValidationError] | None:
        current.get().step()
        return keyword(validator, value, instance, schema)

    return stepping


class _Text(str):
    """A text that messages quote in part."""

    __slots__ = ()

    def __repr__(self) -> str:
        return excerpt(self[: _SMALL + 1])


class _Items(list[Any]):
    """A list that messages quote in part."""

    def __repr__(self) -> str:
        return excerpt(self[:_SMALL])


class _Entries(dict[str, Any]):
    """An object that messages quote in part."""

    def __repr__(self) -> str:
        return excerpt(dict(islice(self.items(), _SMALL)))


def _shown_in_part(value: Any) -> Any:
    """Return a value whose large parts have a short ``repr()``.

    The library quotes values in the messages of all errors that it collects.
    """
    try:
        return _quotable(value)[0]
    except RecursionError:  # not from JSON
        return value


def _quotable(value: Any) -> tuple[Any, int]:
    """Return a value whose large parts have a short ``repr()``, and about how long its own is."""
    kind = type(value)
    if kind is str:
        return (_Text(value) if len(value) > _SMALL else value), len(value) + 2
    if kind is list:
        inner = [_quotable(each) for each in value]
        length = sum(size + 2 for _, size in inner)
        return (_Items(each for each, _ in inner) if length > _SMALL else value), length
    if kind is dict:
        inner = [_quotable(each) for each in value.values()]
        length = sum(map(len, map(str, value))) + sum(size + 4 for _, size in inner)
        if length <= _SMALL:
            return value, length
        return _Entries(zip(value, (each for each, _ in inner), strict=True)), length
    return value, 8

"""Checks the options of an evaluator, and of its runs."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import AsyncIterable, Collection, Iterable, Mapping, Sequence
from typing import Any

from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.texts.excerpts import excerpt
from flask_braintrust_evals.texts.suggestions import did_you_mean

MAX_RETRIES = 100
"""How often a task may be called again for one case."""
_OF_HOOKS = ("expected", "metadata", "tags", "parameters")
"""What scorers get by their arguments, and tasks from their hooks."""
_OF_SCORERS = (*_OF_HOOKS, "output")
"""Names of arguments by which a task does not mean its hooks."""


def check_numbers(
    trial_count: int | None, max_concurrency: int | None, timeout: float | None
) -> None:
    """Check the numbers of a run. ``None``: not set.

    Raises:
        RegistrationError: one of them is not valid.
    """
    for name, value in (("trial_count", trial_count), ("max_concurrency", max_concurrency)):
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise RegistrationError(f"{name} must be a whole number from 1, not {excerpt(value)}")
    check_seconds("timeout", timeout)


def check_retries(value: int | None) -> None:
    """Check how often a task may be called again. ``None``: not set.

    Raises:
        RegistrationError: it is not valid.
    """
    if value is not None and (
        not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_RETRIES
    ):
        raise RegistrationError(
            f"retries must be a whole number from 0 to {MAX_RETRIES}, not {excerpt(value)}"
        )


def check_seconds(name: str, value: float | None) -> None:
    """Check a duration in seconds. ``None``: not set.

    Raises:
        RegistrationError: it is not valid.
    """
    if value is not None and (
        not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf
    ):
        raise RegistrationError(f"{name} must be seconds above 0, not {excerpt(value)}")


def check_switches(**switches: Any) -> None:
    """Check options that are on or off: any text, such as ``"false"``, would be on.

    Raises:
        RegistrationError: one of them is a text.
    """
    for name, value in switches.items():
        if isinstance(value, str):
            raise RegistrationError(f"{name} must be True or False, not {excerpt(value)}")


def check_texts(**texts: Any) -> None:
    """Check options that are texts. ``None``: not set.

    Raises:
        RegistrationError: one of them is none, such as an id that is a UUID.
    """
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise RegistrationError(f"{name} must be a text, not {excerpt(value)}")


def check_second_argument(name: str | None, parameters: Sequence[str]) -> None:
    """Check that the argument of a task for its hooks does not have the name of something else.

    Args:
        name: the name of the argument; ``None``: the task takes no hooks.
        parameters: the names of the evaluator's parameters.

    Raises:
        RegistrationError: it has.
    """
    if name in parameters:
        what, instead = "the name of a parameter", f", and read hooks.parameters[{name!r}]"
    elif name in _OF_SCORERS:
        what = "an argument of scorers"
        instead = f", and read hooks.{name}" if name in _OF_HOOKS else ""
    else:
        return
    raise RegistrationError(
        f"the second argument of the task is {name!r}, which is also {what}, but tasks get their"
        f" hooks there; write task(input, hooks){instead}"
    )


def check_scope(scope: Any) -> None:
    """Check what a run enters around each case. ``None``: nothing.

    Raises:
        RegistrationError: it is no function, most likely because it has been called already, or one
            that needs arguments, such as a Flask application itself.
    """
    if scope is not None and not _needs_nothing(scope):
        raise RegistrationError(
            "scope must be a function that returns a context manager, such as app.app_context"
            f" (without parentheses), not {excerpt(scope)}"
        )


def _needs_nothing(function: Any) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:  # also if it cannot be called
        return False
    except ValueError:  # a builtin, whose signature is not known
        return True
    return True


def check_names(known: Sequence[str], given: Mapping[str, Any] | None) -> None:
    """Check that values are given only for parameters that there are.

    Raises:
        RequestError: there is no parameter of one of the names, or the values are no mapping.
    """
    if given is not None and not isinstance(given, Mapping):
        raise RequestError(f"parameters must be a dict of values by name, not {excerpt(given)}")
    for name in given or ():
        if name not in known:
            raise RequestError(f"no parameter is named {name!r}; {did_you_mean(name, known)}")


def holds_cases(data: Any) -> bool:
    """Return whether data can be iterated over for cases: it is no text, and no single case."""
    # A class with only __getitem__ and __len__, as of PyTorch's datasets, can be iterated over too.
    return not isinstance(data, str | bytes | Mapping) and (
        isinstance(data, Iterable) or hasattr(type(data), "__getitem__")
    )


def check_data(data: Any) -> None:
    """Check the data of an evaluator, as far as it need not be read. ``None``: it has none.

    Raises:
        RegistrationError: it gives no cases.
    """
    gives_some = callable(data) or inspect.isawaitable(data) or isinstance(data, AsyncIterable)
    if data is not None and not gives_some and not holds_cases(data):
        is_file = isinstance(data, str | os.PathLike)
        hint = "; to take cases from a file, return them from a function" if is_file else ""
        raise RegistrationError(
            "data must be an iterable of cases, or a function that returns one, not"
            f" {excerpt(data)}{hint}"
        )


def check_labels(metadata: Any, tags: Any) -> None:
    """Check the metadata and the tags of experiments. ``None``: not set.

    Raises:
        RegistrationError: one of them is not valid.
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise RegistrationError(f"metadata must be a dict, not {excerpt(metadata)}")
    if tags is not None and (
        isinstance(tags, str)
        or not isinstance(tags, Collection)
        or not all(isinstance(tag, str) for tag in tags)
    ):
        raise RegistrationError(f"tags must be a list of strings, not {excerpt(tags)}")

"""Prepares the values that a task gets and returns: copies of metadata, and outputs as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_braintrust_evals.concurrency.turns import let_others_run
from flask_braintrust_evals.engine.values.copies import own_copy
from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.serialization.json_writing import encoded


def own_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy that a task may change without changing that of the case's other trials."""
    copied: dict[str, Any] = own_copy(dict(metadata)) if metadata else {}
    return copied


def output_data(output: Any) -> bytes:
    """Return an output as JSON, in UTF-8.

    As in the ``braintrust`` SDK, a part that has no JSON form is replaced by a text that says so.

    Raises:
        SerializationError: the output itself has no JSON form.
    """
    try:
        return encoded(output, tolerant=True, pause=let_others_run)
    except SerializationError as error:
        raise SerializationError(f"the task's output cannot be written as JSON: {error}") from error

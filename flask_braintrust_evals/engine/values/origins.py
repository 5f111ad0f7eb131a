"""References to rows in Braintrust: the ``origin`` of a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OBJECT_TYPES = frozenset(
    {"project_logs", "experiment", "dataset", "prompt", "function", "prompt_session"}
)
"""The objects that a row may be of."""


def reference_of(value: Any) -> dict[str, Any] | None:
    """Return a reference without fields that Braintrust does not know.

    ``None``: the official client would refuse it. It refuses the whole event that has the
    reference, and the Playground then shows no output for the case.
    """
    if not isinstance(value, Mapping):
        return None
    reference = {name: value.get(name) for name in ("object_type", "object_id", "id")}
    if not all(isinstance(each, str) for each in reference.values()):
        return None
    if reference["object_type"] not in OBJECT_TYPES:
        return None
    for name in ("_xact_id", "created"):
        if not isinstance(value.get(name), str | None):
            return None
        if value.get(name) is not None:
            reference[name] = value[name]
    return reference

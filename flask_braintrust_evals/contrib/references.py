"""Finds references to attachments of the ``braintrust`` SDK, without importing it."""

from __future__ import annotations

from typing import Any

TYPES = ("braintrust_attachment", "external_attachment")
"""The ``type`` of objects that refer to attachments."""


def has_reference(value: Any) -> bool:
    """Return whether a JSON value contains a reference to an attachment."""
    if isinstance(value, list):
        return any(map(has_reference, value))
    if not isinstance(value, dict):
        return False
    return value.get("type") in TYPES or any(map(has_reference, value.values()))

"""Finds references to attachments of the ``braintrust`` SDK, without importing it."""

from __future__ import annotations

from typing import Any

TYPES = ("braintrust_attachment", "external_attachment")
"""The ``type`` of objects that refer to attachments."""


def has_reference(value: Any) -> bool:
    """Return whether a JSON value, nested however deep, contains a reference to an attachment."""
    values = [value]
    for each in values:  # the loop appends to it
        if isinstance(each, list):
            values.extend(each)
        elif isinstance(each, dict):
            if each.get("type") in TYPES:
                return True
            values.extend(each.values())
    return False

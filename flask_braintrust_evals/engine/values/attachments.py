"""The place where the values of a case leave attachments that are too large for a trace."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol


class AttachmentStore(Protocol):
    """Stores attachments in Braintrust as the caller of a run."""

    max_bytes: int
    """Bytes of an attachment that it takes."""

    def add(self, reference: Mapping[str, Any], content: bytes) -> dict[str, Any] | str:
        """Have an attachment stored, without waiting for it.

        Args:
            reference: its reference, whose ``key`` tells it from all others.
            content: its content.

        Returns:
            the reference by which it is found; a text: why it is not stored.
        """


current_store: ContextVar[AttachmentStore | None] = ContextVar(
    "braintrust_evals_attachments", default=None
)
"""Set around each case of a run that is recorded for a caller."""

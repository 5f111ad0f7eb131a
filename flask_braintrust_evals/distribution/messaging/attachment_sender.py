"""Large attachments on their way from a worker to the owner of the run, which stores them."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

logger = logging.getLogger("flask_braintrust_evals")

_SHARE_OF_MESSAGE = 0.7
"""The share of a message that is content: both the JSON and the message are in base64, and between
the two it is compressed."""
MAX_BYTES = 50_000_000
"""Bytes of an attachment that is stored."""


class OwnerStore(Protocol):
    """Stores what workers send."""

    def add_named(self, reference: Mapping[str, Any], content: bytes) -> None:
        """Have an attachment stored under the key that its reference has already."""


class AttachmentSender:
    """An :class:`AttachmentStore` for one case on a worker, which has no session. Thread-safe.

    Args:
        namespace: what the keys are made with, as a UUID: the same attachment has the same key on
            all workers of a run.
        max_bytes: bytes of an attachment that can be sent.
        send: called with what the owner is to store; see :func:`store_sent`.
    """

    def __init__(self, namespace: str, max_bytes: int, send: Callable[[Any], None]) -> None:
        self.max_bytes = max_bytes
        self._namespace = uuid.UUID(namespace)
        self._send = send
        self._keys: set[str] = set()

    def add(self, reference: Mapping[str, Any], content: bytes) -> dict[str, Any] | str:
        """Have an attachment sent; the same one only once. See :class:`AttachmentStore`."""
        key = str(uuid.uuid5(self._namespace, str(reference["key"])))
        stored = {**reference, "key": key}
        if key not in self._keys:
            self._keys.add(key)
            self._send([stored, base64.b64encode(content).decode()])
        return stored


def attachment_bytes(max_message: int) -> int:
    """Return the bytes of an attachment that a message of ``max_message`` bytes has room for."""
    return min(MAX_BYTES, int(max_message * _SHARE_OF_MESSAGE))


def store_sent(content: Any, store: OwnerStore) -> None:
    """Store what a worker has sent. Whatever is wrong with it, it is logged and left out."""
    try:
        reference, text = content
        store.add_named(reference, base64.b64decode(text, validate=True))
    except (TypeError, ValueError, KeyError) as error:
        logger.warning("an attachment of a worker is left out: %s", type(error).__name__)

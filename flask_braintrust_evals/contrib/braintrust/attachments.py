"""Writes attachments of the ``braintrust`` SDK as a part of the value that contains them.

The SDK would upload or fetch an attachment with the application's own token. Inside of a case, only
the caller's token may be used, so an attachment is written as a ``data:`` URL. Braintrust takes
such URLs out of spans and stores them as attachments itself (repository
``braintrustdata/braintrust-spec``,
``skills/instrumentation-spec/references/features/attachments.md``). A larger one is written as a
reference, and uploaded beside the run. An attachment that Braintrust has already stored is written
as a reference, too.

References in the rows of datasets become :class:`CallerAttachment` objects, as the SDK does it with
its ``ReadonlyAttachment``.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from braintrust.logger import Attachment, BaseAttachment, ReadonlyAttachment

from flask_braintrust_evals.contrib.references import TYPES
from flask_braintrust_evals.engine.values.attachments import current_store
from flask_braintrust_evals.serialization.plain_values import register_converter

MAX_BYTES = 700_000
"""Bytes of an attachment. In base64, a larger one would exceed ``MAX_ATTRIBUTE_BYTES``."""


class Loader(Protocol):
    """Loads attachments as the caller of a run."""

    def metadata(self, reference: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``downloadUrl`` and ``status`` of an attachment."""

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """Return the content of an attachment."""


class CallerAttachment(ReadonlyAttachment):
    """A stored attachment that is loaded as the caller of a run, when its content is asked for."""

    def __init__(self, reference: Any, loader: Loader) -> None:
        super().__init__(reference)
        self._loader = loader
        self._lock = threading.Lock()
        self._content: bytes | None = None

    @property
    def data(self) -> bytes:
        """The content; loaded once.

        Raises:
            CloudError: it cannot be loaded as the caller.
        """
        with self._lock:
            if self._content is None:
                self._content = self._loader.load(self.reference)
            return self._content

    def metadata(self) -> Any:
        """Return ``downloadUrl`` and ``status``, which are asked for each time."""
        return self._loader.metadata(self.reference)

    def __deepcopy__(self, memo: Any) -> CallerAttachment:
        return self  # it does not change


def with_attachments(value: Any, loader: Loader) -> Any:
    """Return a copy of a JSON value, with :class:`CallerAttachment` in place of references."""
    whole = [value]
    containers: list[Any] = [whole]
    for container in containers:  # the loop appends to it
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for key, item in items:
            if isinstance(item, dict) and item.get("type") in TYPES:
                container[key] = CallerAttachment(item, loader)
            elif isinstance(item, dict | list):
                container[key] = item.copy()
                containers.append(container[key])
    return whole[0]


def install() -> None:
    """Have attachments written in this way wherever values are written as JSON."""
    register_converter(Attachment, inline)
    for kind in (BaseAttachment, ReadonlyAttachment):
        register_converter(kind, lambda attachment: dict(attachment.reference))


def inline(attachment: Attachment) -> str | dict[str, Any]:
    """Return an attachment as a ``data:`` URL, or as a reference if it is large.

    If it cannot be read or stored, return a text that says why it is left out.
    """
    reference: dict[str, Any] = dict(attachment.reference)
    kind, name = reference["content_type"], reference["filename"]
    store = current_store.get()
    try:
        size = _size_of_file(attachment)
        if size is not None and size > (MAX_BYTES if store is None else store.max_bytes):
            return _left_out(reference, size)  # without reading it
        data = attachment.data
    except OSError as error:
        return f"attachment {name!r} ({kind}) could not be read: {type(error).__name__}"
    if len(data) <= MAX_BYTES:
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"
    if store is None or len(data) > store.max_bytes:
        return _left_out(reference, len(data))
    stored = store.add(reference, data)
    return f"{_left_out(reference, len(data))}: {stored}" if isinstance(stored, str) else stored


def _left_out(reference: Mapping[str, Any], size: int) -> str:
    kind, name = reference["content_type"], reference["filename"]
    return f"attachment {name!r} ({kind}) of {size} bytes is too large for a trace"


def _size_of_file(attachment: Attachment) -> int | None:
    """Return the size of the file of an attachment; ``None``: its content is in memory."""
    source = attachment.debug_info().get("input_data")
    if not isinstance(source, str) or source.startswith("<"):
        return None
    return os.stat(source).st_size

"""Attachments of the ``braintrust`` SDK, which would upload them as the application.

Inside of a case nothing may go to Braintrust but with the caller's token, so an attachment travels
inside of its span, as a ``data:`` URL. Braintrust takes such texts out of spans and stores them as
attachments itself (``skills/instrumentation-spec/references/features/attachments.md`` in the
repository ``braintrustdata/braintrust-spec``).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from braintrust.logger import Attachment, BaseAttachment

LARGEST = 700_000
"""Bytes of an attachment: in base64, a larger one would be cut (``LARGEST_ATTRIBUTE``)."""


def inline_attachments(value: Any) -> Any:
    """Return ``value`` with the attachments in it as texts, or as references to where they are."""
    if isinstance(value, BaseAttachment):
        return _inline(value)
    if isinstance(value, Mapping):
        return {key: inline_attachments(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [inline_attachments(each) for each in value]
    return value


def _inline(attachment: BaseAttachment) -> Any:
    reference = attachment.reference
    if not isinstance(attachment, Attachment):
        return dict(reference)  # it is stored elsewhere already
    kind, name = reference["content_type"], reference["filename"]
    try:
        data = attachment.data
    except OSError as error:
        return f"attachment {name!r} ({kind}) could not be read: {type(error).__name__}"
    if len(data) > LARGEST:
        return f"attachment {name!r} ({kind}) of {len(data)} bytes is too large for a trace"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

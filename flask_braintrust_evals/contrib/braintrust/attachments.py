"""Writes attachments of the ``braintrust`` SDK as a part of the value that contains them.

The SDK would upload or fetch an attachment with the application's own token. Inside of a case, only
the caller's token may be used, so an attachment is written as a ``data:`` URL. Braintrust takes
such URLs out of spans and stores them as attachments itself (repository
``braintrustdata/braintrust-spec``,
``skills/instrumentation-spec/references/features/attachments.md``). An attachment that Braintrust
has already stored is written as a reference.
"""

from __future__ import annotations

import base64
from typing import Any

from braintrust.logger import Attachment, BaseAttachment, ReadonlyAttachment

from flask_braintrust_evals.serialization import register_converter

MAX_BYTES = 700_000
"""Bytes of an attachment. In base64, a larger one would exceed ``MAX_ATTRIBUTE_BYTES``."""


def install() -> None:
    """Have attachments written in this way wherever values are written as JSON."""
    register_converter(Attachment, inline)
    for kind in (BaseAttachment, ReadonlyAttachment):
        register_converter(kind, lambda attachment: dict(attachment.reference))


def inline(attachment: Attachment) -> str:
    """Return an attachment as a ``data:`` URL, or a text that says why it is left out."""
    reference: dict[str, Any] = dict(attachment.reference)
    kind, name = reference["content_type"], reference["filename"]
    try:
        data = attachment.data
    except OSError as error:
        return f"attachment {name!r} ({kind}) could not be read: {type(error).__name__}"
    if len(data) > MAX_BYTES:
        return f"attachment {name!r} ({kind}) of {len(data)} bytes is too large for a trace"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

"""Attachments of the ``braintrust`` SDK, which it would upload, or fetch, as the application.

Inside of a case nothing may go to Braintrust but with the caller's token, so an attachment travels
inside of what it is in, as a ``data:`` URL. Braintrust takes such texts out of spans and stores
them as attachments itself (repository ``braintrustdata/braintrust-spec``,
``skills/instrumentation-spec/references/features/attachments.md``). One that is stored already
stays a reference.
"""

from __future__ import annotations

import base64
from typing import Any

from braintrust.logger import Attachment, BaseAttachment, ReadonlyAttachment

from flask_braintrust_evals.serialization import convert

LARGEST = 700_000
"""Bytes of an attachment: in base64, a larger one would be cut (``LARGEST_ATTRIBUTE``)."""


def install() -> None:
    """Have attachments written in this way wherever values become JSON."""
    convert(Attachment, inline)
    for kind in (BaseAttachment, ReadonlyAttachment):
        convert(kind, lambda attachment: dict(attachment.reference))


def inline(attachment: Attachment) -> str:
    """Return an attachment as a ``data:`` URL, or what there is to say of it instead."""
    reference: dict[str, Any] = dict(attachment.reference)
    kind, name = reference["content_type"], reference["filename"]
    try:
        data = attachment.data
    except OSError as error:
        return f"attachment {name!r} ({kind}) could not be read: {type(error).__name__}"
    if len(data) > LARGEST:
        return f"attachment {name!r} ({kind}) of {len(data)} bytes is too large for a trace"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

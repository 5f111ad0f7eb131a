"""Loads the content of attachments that Braintrust stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_braintrust_evals.errors import CloudError
from flask_braintrust_evals.texts.excerpts import excerpt

from .sessions.user_session import UserSession

MAX_BYTES = 100_000_000
"""Maximum bytes of an attachment that is loaded."""
TIMEOUT = 120.0
"""Seconds that a download may take in all."""


class AttachmentLoader:
    """Loads attachments as one caller.

    Args:
        session: the caller's session.
    """

    def __init__(self, session: UserSession) -> None:
        self._session = session

    def metadata(self, reference: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``downloadUrl`` and ``status`` of an attachment.

        Raises:
            CloudError: the reference is not complete, or Braintrust does not give it to the caller.
        """
        place = "url" if reference.get("type") == "external_attachment" else "key"
        params = {name: reference.get(name) for name in ("filename", "content_type", place)}
        for name, value in params.items():
            if not isinstance(value, str):
                raise CloudError(
                    f"the reference of an attachment has no {name!r}: {excerpt(reference)}"
                )
        params["org_id"] = self._session.org.id
        answer = self._session.api("GET", "/attachment", params=params)
        if (
            not isinstance(answer, dict)
            or not isinstance(answer.get("downloadUrl"), str)
            or not isinstance(answer.get("status"), dict)
        ):
            raise CloudError(f"Braintrust does not say where {name_of(reference)} is")
        return answer

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """Return the content of an attachment.

        Raises:
            CloudError: see :meth:`metadata`; or it is not uploaded, too large, or not to be had.
        """
        metadata = self.metadata(reference)
        status = metadata["status"].get("upload_status")
        if status != "done":
            raise CloudError(
                f"{name_of(reference)} is not uploaded: its status is {excerpt(status)}"
            )
        url, name = metadata["downloadUrl"], name_of(reference)
        try:
            # The address has a signature of its own: the caller's token is not sent there.
            return self._session.download(url, f"the download of {name}", MAX_BYTES, TIMEOUT)
        except CloudError as error:
            # Without the text of a refusal, which is the store's own.
            reason = error.answered or error
        raise CloudError(f"{name} could not be loaded: {reason}")


def name_of(reference: Mapping[str, Any]) -> str:
    """Return what messages call an attachment."""
    return f"attachment {excerpt(reference.get('filename'))}"

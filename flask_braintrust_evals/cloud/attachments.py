"""Loads the content of attachments that Braintrust stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from flask_braintrust_evals.errors import CloudError

from .sessions import UserSession

MAX_BYTES = 100_000_000
"""Maximum bytes of an attachment that is loaded."""
TIMEOUT = 30.0
"""Seconds without any byte after which a download fails."""


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
                raise CloudError(f"the reference of an attachment has no {name!r}: {reference!r}")
        params["org_id"] = self._session.org.id
        answer = self._session.api("GET", "/attachment", params=params)
        if (
            not isinstance(answer, dict)
            or not isinstance(answer.get("downloadUrl"), str)
            or not isinstance(answer.get("status"), dict)
        ):
            raise CloudError(f"Braintrust does not say where {_name(reference)} is")
        return answer

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """Return the content of an attachment.

        Raises:
            CloudError: see :meth:`metadata`; or it is not uploaded, too large, or not to be had.
        """
        metadata = self.metadata(reference)
        status = metadata["status"].get("upload_status")
        if status != "done":
            raise CloudError(f"{_name(reference)} is not uploaded: its status is {status!r}")
        try:
            # The address has a signature of its own: the caller's token is not sent there.
            with requests.get(metadata["downloadUrl"], timeout=TIMEOUT, stream=True) as response:
                response.raise_for_status()
                return _read(response, reference)
        except requests.RequestException as error:
            reason = getattr(error.response, "status_code", None) or type(error).__name__
            # The text of the error has the address, with its signature.
            raise CloudError(f"{_name(reference)} could not be loaded: {reason}") from None


def _read(response: requests.Response, reference: Mapping[str, Any]) -> bytes:
    content = bytearray()
    for chunk in response.iter_content(65536):
        content += chunk
        if len(content) > MAX_BYTES:
            raise CloudError(f"{_name(reference)} has more than {MAX_BYTES:,} bytes")
    return bytes(content)


def _name(reference: Mapping[str, Any]) -> str:
    return f"attachment {reference.get('filename')!r}"

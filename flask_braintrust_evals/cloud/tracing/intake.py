"""The two endpoints of Braintrust that take spans: one of OTLP, and one of its own rows."""

from __future__ import annotations

from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.tracing.untraced import untraced

from .encoder import OtlpChunk, export_request
from .native_rows import NativeRow, insert_request


class Intake:
    """Sends spans with a caller's session. A failed call raises :class:`CloudError`.

    Args:
        session: the caller's.
        parent: the object that the spans belong to, as the value of ``x-bt-parent``.
    """

    def __init__(self, session: UserSession, parent: str) -> None:
        self._session = session
        self._parent = parent

    def send_spans(self, batch: list[OtlpChunk], seconds: float) -> None:
        """Send spans over OTLP; one attempt, which may take ``seconds``."""
        headers = {"Content-Type": "application/x-protobuf", "x-bt-parent": self._parent}
        self._post("/otel/v1/traces", export_request(batch), headers, seconds)

    def send_rows(self, batch: list[NativeRow], seconds: float) -> None:
        """Send spans as rows, which name their object themselves."""
        headers = {"Content-Type": "application/json"}
        self._post("/logs3", insert_request(batch), headers, seconds)

    def _post(self, path: str, data: bytes, headers: dict[str, str], seconds: float) -> None:
        # The application may have instrumented requests: sending spans must not record spans.
        with untraced():
            self._session.api(
                "POST",
                path,
                data=data,
                headers=headers,
                timeout=seconds,
                retry=False,
                parse=False,  # nothing in the answer matters, and that of OTLP is protobuf
            )

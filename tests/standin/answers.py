"""What the stand-in says back: JSON, bytes, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

_CODES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    413: "PayloadTooLargeError",
    429: "TooManyRequestsError",
}


class Sized(Protocol):
    """A call, as far as its size goes."""

    body: bytes


MAX_BODY = 6 * 1024 * 1024
"""Bytes of a request with spans or rows, as the SDK takes for granted where nothing is said."""


class Refusal(Exception):
    """A call that is answered with an HTTP error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check_size(call: Sized) -> None:
    """Raise `Refusal` for a request with spans that is too large."""
    if len(call.body) > MAX_BODY:
        raise Refusal(413, f"The body has {len(call.body)} bytes, more than {MAX_BODY}")


@dataclass(frozen=True)
class Answer:
    """One HTTP response, before it is put on the wire."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        return self.head() + self.body

    def head(self) -> bytes:
        """The status line and the header block, with the empty line that ends it."""
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unassigned"
        headers = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{k}: {v}" for k, v in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with strict JSON: NaN raises `ValueError`."""
    body = json.dumps(value, allow_nan=False).encode()
    return Answer(status, body, headers=headers or {})


def error_answer(
    status: int, message: str | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Answer with an error in the cloud's own shape."""
    code = _CODES.get(status, "InternalError" if status >= 500 else "Error")
    return json_answer({"Code": code, "Message": message or code}, status, headers)


def strict_json(text: bytes) -> Any:
    """Parse JSON as a strict peer does. Raises `ValueError`, for NaN and Infinity too."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)

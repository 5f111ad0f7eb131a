"""Reads the token, the organisation and the project from the headers of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from flask_braintrust_evals.errors import RequestError

MAX_LENGTH = 4096
"""Maximum characters of a header; Braintrust's tokens have well under a thousand."""


class Headers(Protocol):
    """The headers of a request; names are not case-sensitive."""

    def get(self, name: str, default: str, /) -> str: ...


@dataclass(frozen=True)
class Credentials:
    """The credentials in the headers of a request; ``None``: no header has one."""

    token: str | None = field(repr=False)
    org_name: str | None
    project_id: str | None

    @classmethod
    def of(cls, headers: Headers) -> Credentials:
        """Read the headers.

        Raises:
            RequestError: a header is too long or has control characters, or the token has others
                than ASCII.
        """
        return cls(
            token=_token(headers),
            org_name=_value(headers, "x-bt-org-name"),
            project_id=_value(headers, "x-bt-project-id"),
        )


def _token(headers: Headers) -> str | None:
    token = _any_token(headers)
    if token is not None and not token.isascii():
        raise RequestError("the token has characters that no Braintrust API key has")
    return token


def _any_token(headers: Headers) -> str | None:
    own = _value(headers, "x-bt-auth-token")
    if own is not None:
        return own
    scheme, _, rest = (_value(headers, "Authorization") or "").partition(" ")
    value = rest.strip() if scheme.lower() == "bearer" else f"{scheme} {rest}".strip()
    return None if value.lower() in ("", "null") else value


def _decode(value: str) -> str:
    """Decode a value as UTF-8, in which names of organisations are sent; WSGI gives latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _value(headers: Headers, name: str) -> str | None:
    value = _decode(headers.get(name, "")).strip()
    if len(value) > MAX_LENGTH:
        raise RequestError(f"header {name}: longer than {MAX_LENGTH} characters")
    if not value.isprintable():
        raise RequestError(f"header {name}: has control characters")
    return None if not value or value.lower() == "null" else value

"""Reads the token, the organisation and the project from the headers of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from flask_braintrust_evals.errors import RequestError

MAX_LENGTH = 4096
"""Maximum characters of a header; Braintrust's tokens have well under a thousand."""

OWN_HEADER = "x-bt-auth-token"


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
        names = (OWN_HEADER, "Authorization", "x-bt-org-name", "x-bt-project-id")
        own, authorization, org_name, project_id = [
            _Header(name, headers.get(name, "")) for name in names
        ]
        # Crash reporters record the variables of every frame: while an exception is raised, none
        # may have the token, and the repr of werkzeug's headers shows all values.
        del headers
        token = own if own.value is not None else authorization
        for header in (token, org_name, project_id):
            if header.problem is not None:
                raise RequestError(f"header {header.name}: {header.problem}")
        if token.value is not None and not token.value.isascii():
            raise RequestError("the token has characters that no Braintrust API key has")
        return cls(
            token.value if token is own else _without_scheme(authorization.value),
            org_name.value,
            project_id.value,
        )


class _Header:
    """A header of a request, whose ``repr`` and attributes hide its value, as :class:`Token`'s."""

    def __init__(self, name: str, sent: str) -> None:
        self.name = name
        text = _decode(sent).strip()
        self._text: Callable[[], str] = lambda: text

    def __repr__(self) -> str:
        return f"_Header({self.name!r})"

    @property
    def value(self) -> str | None:
        """Its value; ``None``: it is not there, or stands for that."""
        text = self._text()
        return None if text.lower() in ("", "null") else text

    @property
    def problem(self) -> str | None:
        """What is wrong with it; ``None``: nothing."""
        if len(self._text()) > MAX_LENGTH:
            return f"longer than {MAX_LENGTH} characters"
        return None if self._text().isprintable() else "has control characters"


def _without_scheme(authorization: str | None) -> str | None:
    """Return what ``Authorization`` has after ``Bearer``, or all of it."""
    scheme, _, rest = (authorization or "").partition(" ")
    value = rest.strip() if scheme.lower() == "bearer" else f"{scheme} {rest}".strip()
    return None if value.lower() in ("", "null") else value


def has_own_token(headers: Headers) -> bool:
    """Return whether the token is in the header that is for nothing else."""
    return _Header(OWN_HEADER, headers.get(OWN_HEADER, "")).value is not None


def _decode(value: str) -> str:
    """Decode a value as UTF-8, in which names of organisations are sent; WSGI gives latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value

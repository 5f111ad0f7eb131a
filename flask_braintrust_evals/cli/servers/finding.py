"""Findings about a server, and the answers that they are made from."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.auth import AuthBase

DEFAULT_TIMEOUT = 15.0
"""Seconds that an answer may take, and that a stream may send nothing."""
MAX_ANSWER = 10_000_000
"""Bytes of a body after which reading stops."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        good: whether the server passed.
        what: what was found.
        advice: what to change; empty: nothing.
    """

    good: bool
    what: str
    advice: str = ""


@dataclass(frozen=True)
class Answer:
    """An answer of a server.

    Attributes:
        status: the HTTP status.
        reason: the status in words.
        headers: the headers.
        body: the body, or its beginning if it is larger than :data:`MAX_ANSWER`.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def read(cls, response: requests.Response, timeout: float) -> Answer:
        """Read an answer.

        Raises:
            requests.Timeout: the answer is not complete after ``timeout`` seconds.
        """
        deadline, body = time.monotonic() + timeout, b""
        for chunk in chunks(response):
            body += chunk
            if len(body) > MAX_ANSWER:
                break
            if time.monotonic() > deadline:
                raise requests.Timeout(f"the answer was not complete after {timeout:g} s")
        return cls(response.status_code, response.reason, response.headers, body)

    @property
    def json(self) -> Any:
        """The body's JSON value; ``None``: it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def text(self) -> str:
        """The beginning of the body."""
        return self.body[:10_000].decode("utf-8", "replace")

    @property
    def error(self) -> str:
        """The error message in the body, or else the status in words."""
        body = self.json
        text = body.get("error") if isinstance(body, dict) else None
        return str(text or self.reason)


def chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield bytes as soon as they arrive; without chunked encoding, ``iter_content`` would wait."""
    try:
        while chunk := response.raw.read1(65_536, decode_content=True):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error


class _NoAuth(AuthBase):
    """Adds no credentials, which keeps ``requests`` from using those of a ``.netrc`` file."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def new_session() -> requests.Session:
    """Return a session that sends no credentials but those in the headers of a request."""
    session = requests.Session()
    session.auth = _NoAuth()
    return session


def is_timeout(error: BaseException) -> bool:
    """Return whether an answer, or a part of it, did not arrive in time."""
    kinds = (requests.Timeout, urllib3.exceptions.ReadTimeoutError)
    return isinstance(error, kinds) or any(isinstance(each, kinds) for each in error.args)


def cause_of(error: BaseException) -> str:
    """Return the innermost exception as text; those around it only repeat it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"

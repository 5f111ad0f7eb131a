"""What the doctor says of a server."""

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
"""Seconds that a server may send nothing, and that an answer other than a stream may take."""
MAX_ANSWER = 10_000_000
"""Bytes of an answer that are read."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        good: whether it is as it should be.
        what: what was found.
        advice: what to do; empty where there is nothing.
    """

    good: bool
    what: str
    advice: str = ""


@dataclass(frozen=True)
class Answer:
    """A whole answer of a server, of which at most :data:`MAX_ANSWER` bytes were read.

    Attributes:
        status: its status.
        reason: the status in words.
        headers: its headers.
        body: what it holds.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def read(cls, response: requests.Response, timeout: float) -> Answer:
        """Read an answer.

        Raises:
            requests.Timeout: it is not complete after ``timeout`` seconds.
        """
        until, body = time.monotonic() + timeout, b""
        for chunk in chunks(response):
            body += chunk
            if len(body) > MAX_ANSWER:
                break
            if time.monotonic() > until:
                raise requests.Timeout(f"the answer was not there after {timeout:g} s")
        return cls(response.status_code, response.reason, response.headers, body)

    @property
    def json(self) -> Any:
        """What the body holds; ``None`` where that is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def error(self) -> str:
        """What the answer says is wrong."""
        body = self.json
        text = body.get("error") if isinstance(body, dict) else None
        return str(text or self.reason)


def chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield what comes as it comes: where a proxy sends no chunks, ``iter_content`` would wait."""
    try:
        while chunk := response.raw.read1(65_536, decode_content=True):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error


class _NoOther(AuthBase):
    """Keeps ``requests`` from using a ``.netrc`` in place of the token."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def visitor() -> requests.Session:
    """Return what asks servers: with the headers that it is given, and no others."""
    session = requests.Session()
    session.auth = _NoOther()
    return session


def is_timeout(error: BaseException) -> bool:
    """Return whether an answer, or a part of it, did not come in time."""
    late = (requests.Timeout, urllib3.exceptions.ReadTimeoutError)
    return isinstance(error, late) or any(isinstance(each, late) for each in error.args)

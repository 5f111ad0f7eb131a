"""What the doctor says of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from requests.auth import AuthBase

LIMIT = 15.0
"""Seconds that a server may say nothing."""


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


def json_of(answer: requests.Response) -> Any:
    """Return what an answer holds; ``None`` where that is not JSON."""
    try:
        return answer.json()
    except requests.exceptions.JSONDecodeError:
        return None


def error_text(answer: requests.Response) -> str:
    """Return what an answer says is wrong."""
    body = json_of(answer)
    text = body.get("error") if isinstance(body, dict) else None
    return str(text or answer.reason)


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

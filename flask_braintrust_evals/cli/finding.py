"""What the doctor says of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

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

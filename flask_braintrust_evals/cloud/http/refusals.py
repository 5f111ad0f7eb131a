"""Makes errors of the answers with which Braintrust refuses a call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import orjson
import requests
from urllib3.exceptions import HTTPError

from flask_braintrust_evals.errors import (
    CloudError,
    CloudForbiddenError,
    CloudNotFoundError,
    CloudTimeoutError,
    CloudUnauthorizedError,
)
from flask_braintrust_evals.texts.excerpts import shortened

from . import answers
from .tokens import Token

MAX_RETRY_AFTER = 30.0
"""Seconds to wait before a retry, even if Braintrust asks for more: a user is waiting."""
MAX_TEXT = 300
"""Characters of Braintrust's text that are quoted."""

_ERRORS: dict[int, type[CloudError]] = {
    401: CloudUnauthorizedError,
    403: CloudForbiddenError,
    404: CloudNotFoundError,
    408: CloudTimeoutError,
    504: CloudTimeoutError,
}


def refusal(what: str, response: requests.Response, token: Token | None) -> CloudError:
    """Return the error for an answer that is not a success.

    Args:
        what: names the call.
        response: the answer, whose body has not been read.
        token: the token, which the text must not show; ``None``: the text is not quoted at all,
            because it is from a server that may be anybody's.
    """
    status = response.status_code
    kind = _ERRORS.get(status, CloudError)
    said = f"Braintrust answered {what} with status {status}"
    if 300 <= status < 400:
        error = CloudError(f"{said}, a redirect, which is not followed")
    else:
        text = "" if token is None else _text(response, what, token)
        error = kind(f"{said}: {text}" if text else said)
    error.answered = status
    error.transient = status in (408, 429) or status >= 500
    error.retry_after = _retry_after(response.headers)
    return error


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait; ``None``: it does not, or makes no sense."""
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    until = _seconds_of(value)
    if until is None:
        return None
    # By the clock that the time was taken from: this machine's may be wrong.
    seconds = until - (_seconds_of(headers.get("Date", "")) or time.time())
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _seconds_of(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _text(response: requests.Response, what: str, token: Token) -> str:
    """Return a refusal's text, cut: Braintrust's ``Message`` or ``error``, else the whole body."""
    try:
        content = answers.read_beginning(response, answers.MAX_REFUSAL, what)
    except (HTTPError, OSError):
        return ""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    text = content.decode("utf-8", "replace")
    if isinstance(value, dict):
        said = value.get("Message") or value.get("error")
        text = said if isinstance(said, str) else text
    # The token is masked before the text is cut, which could leave a part of it.
    text = " ".join(text.replace(token.reveal(), "***").split())
    return shortened(text, MAX_TEXT)

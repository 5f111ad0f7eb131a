"""A request's body, as JSON, within limits."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from flask_braintrust_evals.errors import (
    BodyTooLargeError,
    RequestError,
    UnsupportedMediaTypeError,
)


def read_json(request: Request, limit: int) -> Any:
    """Return the body's JSON value.

    Args:
        request: the request; its body must not have been read yet.
        limit: bytes that the body may have.

    Raises:
        BodyTooLargeError: it has more; where the request says so itself, before it is read.
        UnsupportedMediaTypeError: it is declared as something else.
        RequestError: it is not JSON, or nested too deep.
    """
    if request.content_type and not request.is_json:
        raise UnsupportedMediaTypeError(
            f"the body is declared as {request.mimetype!r}; send JSON with 'Content-Type:"
            " application/json'"
        )
    data = _read(request, limit)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    try:
        orjson.dumps(value)
    except TypeError:
        # orjson reads deeper values (1024 levels) than it writes (254), and what cannot be written
        # cannot be recorded.
        raise RequestError("the body is nested too deep; at most 254 levels are allowed") from None
    return value


def _read(request: Request, limit: int) -> bytes:
    too_large = BodyTooLargeError(
        f"the body is larger than {limit} bytes; use a dataset, or raise BRAINTRUST_EVALS_MAX_BODY"
    )
    if request.content_length is not None and request.content_length > limit:
        raise too_large
    try:
        data = request.stream.read(limit + 1)
    except RequestEntityTooLarge:  # the application's own MAX_CONTENT_LENGTH
        raise too_large from None
    if len(data) > limit:
        raise too_large
    return data

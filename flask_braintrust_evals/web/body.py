"""Reads the body of a request as JSON, within limits."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Request

from flask_braintrust_evals.errors import (
    BodyTooLargeError,
    RequestError,
    UnsupportedMediaTypeError,
)


def read_json(request: Request, limit: int) -> Any:
    """Return the body's JSON value.

    Args:
        request: the request; its body must not have been read yet.
        limit: bytes that the body may have; the application's ``MAX_CONTENT_LENGTH`` applies too.

    Raises:
        BodyTooLargeError: the body is larger. If the request declares its size, it is not read.
        UnsupportedMediaTypeError: the body is not declared as JSON.
        RequestError: the body is not JSON, or nested too deep.
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
        # orjson reads deeper values (1024 levels) than it writes (254), and a value that cannot be
        # written cannot be recorded.
        raise RequestError("the body is nested too deep; at most 254 levels are allowed") from None
    return value


def _read(request: Request, limit: int) -> bytes:
    setting = "BRAINTRUST_EVALS_MAX_BODY"
    if request.max_content_length is not None and request.max_content_length < limit:
        limit, setting = request.max_content_length, "MAX_CONTENT_LENGTH"
    too_large = BodyTooLargeError(
        f"the body is larger than {limit} bytes; use a dataset, or raise {setting}"
    )
    if request.content_length is not None and request.content_length > limit:
        raise too_large
    # If the server itself marks the end of the body, werkzeug's limit cannot distinguish a body of
    # exactly that size from a larger one.
    terminated = request.environ.get("wsgi.input_terminated")
    stream = request.environ["wsgi.input"] if terminated else request.stream
    data: bytes = stream.read(limit + 1)
    if len(data) > limit:
        raise too_large
    return data

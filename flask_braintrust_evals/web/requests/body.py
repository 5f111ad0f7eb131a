"""Reads the body of a request as JSON, within limits."""

from __future__ import annotations

import io
import tempfile
from typing import Any

import orjson
from flask import Request

from flask_braintrust_evals.concurrency.turns import wait_after
from flask_braintrust_evals.errors import (
    BodyTooLargeError,
    LengthRequiredError,
    RequestError,
    UnsupportedMediaTypeError,
)
from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.serialization.json_size import MAX_DEPTH, exceeds, without_collections

from .body_time import read_in_time


def read_json(request: Request, limit: int, max_values: int, timeout: float) -> Any:
    """Return the body's JSON value.

    Args:
        request: the request; its body must not have been read yet.
        limit: bytes that the body may have; the application's ``MAX_CONTENT_LENGTH`` applies too.
        max_values: values that the body may have, at any depth.
        timeout: seconds in which the body has to arrive.

    Raises:
        BodyTimeoutError: the body has not arrived in time.
        BodyTooLargeError: the body is larger, or has more values. If the request declares its size,
            a body that is larger is not read.
        UnsupportedMediaTypeError: the body is not declared as JSON, or is compressed.
        LengthRequiredError: the server does not tell where the body ends.
        RequestError: the body is not complete, not JSON, or nested too deep.
    """
    _check_encoding(request)
    if request.content_type and not request.is_json:
        raise UnsupportedMediaTypeError(
            f"the body is declared as {request.mimetype!r}; send JSON with 'Content-Type:"
            " application/json'"
        )
    data = _read(request, limit, timeout)
    exceeded = exceeds(data, max_values)
    if exceeded == "values":
        raise BodyTooLargeError(
            f"the body has more than {max_values} JSON values; use a dataset, or raise"
            " BRAINTRUST_EVALS_MAX_VALUES"
        )
    if exceeded == "depth":
        raise RequestError(f"the body is nested too deep; at most {MAX_DEPTH} levels are allowed")
    wait_after(len(data))
    try:
        with without_collections(len(data)):
            return loads(data, pause=lambda: wait_after(len(data)))
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}") from None


def _check_encoding(request: Request) -> None:
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaTypeError(
            f"the body is compressed ('Content-Encoding: {encoding[:100]}'), which this server does"
            " not read; send it as it is"
        )


def _read(request: Request, limit: int, timeout: float) -> bytes:
    setting = "BRAINTRUST_EVALS_MAX_BODY"
    most, length = request.max_content_length, request.content_length
    if most is not None and most < limit:
        limit, setting = most, "MAX_CONTENT_LENGTH"
    too_large = BodyTooLargeError(
        f"the body is larger than {limit} bytes; use a dataset, or raise {setting}"
    )
    if length is not None and length > limit:
        raise too_large
    received: bytes | None = getattr(request, "_cached_data", None)
    stream = _stream(request) if received is None else io.BytesIO(received)
    data = read_in_time(request.environ, lambda: stream.read(limit + 1), timeout)
    if len(data) > limit:
        raise too_large
    if length is not None and len(data) < length:
        raise RequestError(
            f"the body ended after {len(data)} of {length} bytes: the client"
            " disconnected or declared a wrong length, or the application has read the body before,"
            " and not by request.get_data(), which keeps it"
        )
    return data


def _stream(request: Request) -> Any:
    """Return what the body can be read from to its end.

    Raises:
        LengthRequiredError: the body is sent in chunks, and the server does not tell its end.
    """
    stream = request.environ["wsgi.input"]
    if request.environ.get("wsgi.input_terminated"):
        # werkzeug's limit cannot distinguish a body of exactly that size from a larger one.
        return stream
    if request.content_length is None:
        if _ends_by_itself(stream):
            return stream
        if request.headers.get("Transfer-Encoding"):
            raise LengthRequiredError(
                "the body is sent in chunks, whose end this application's server does not tell;"
                " send it with a Content-Length"
            )
    return request.stream


def _ends_by_itself(stream: Any) -> bool:
    """Return whether a server that does not say so has received the whole body before, or ends it.

    Those that serve WSGI applications by ASGI do.
    """
    received = isinstance(stream, io.BytesIO | tempfile.SpooledTemporaryFile)
    return received or type(stream).__module__.partition(".")[0] == "a2wsgi"

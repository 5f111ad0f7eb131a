"""JSON responses; those for errors are ``{"error": "<what is wrong and what to do>"}``.

This package's own serialiser writes them. The application's, which ``jsonify`` uses, may be any
other: one that sorts keys would change the order of the parameters in the Playground's form.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from flask import Response
from werkzeug.exceptions import HTTPException

from flask_braintrust_evals.errors import (
    BrokerError,
    CloudBusyError,
    EvalsError,
    MethodNotAllowedError,
    SilentProcessesError,
    TooManyLoginsError,
    TooManyRunsError,
    WorkersError,
)
from flask_braintrust_evals.excerpts import shortened
from flask_braintrust_evals.plain_values import safe_text
from flask_braintrust_evals.serialization import encoded

logger = logging.getLogger("flask_braintrust_evals")

_WORTH_RETRYING = (
    BrokerError,
    CloudBusyError,
    SilentProcessesError,
    TooManyLoginsError,
    TooManyRunsError,
    WorkersError,
)
"""Exceptions that say in ``retry_after`` when the same request may succeed."""
_HEADERS = {
    # Answers depend on the token, and no cache may keep them for somebody who has none.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def json_response(value: Any, status: int = 200) -> Response:
    """Return a response with a value as JSON."""
    return Response(encoded(value) + b"\n", status, _HEADERS, content_type="application/json")


def error_response(error: EvalsError) -> Response:
    """Return the response to an exception of this package, with its text and its status."""
    text = shortened(str(error))
    if error.status >= 500:
        logger.warning("answered with status %d: %s", error.status, text)
    response = json_response({"error": text}, error.status)
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, _WORTH_RETRYING):
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 0)))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def http_exception_response(error: HTTPException) -> Response:
    """Return the response to an exception of werkzeug, for instance from ``abort``."""
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, EvalsError):  # raised after the view, where Flask knows no other handler
        return error_response(cause)
    original = error.get_response()
    text = f"{error.name}: {safe_text(error.description)}"
    response = json_response({"error": text}, original.status_code)
    for name, value in original.headers:
        if name.lower() not in ("content-type", "content-length"):
            response.headers.add(name, value)
    return response


def unexpected_error_response(error: Exception) -> Response:
    """Return the response to any other exception, which is logged and not revealed."""
    logger.error("unexpected error", exc_info=error)
    return json_response({"error": "internal error; see the server's log"}, 500)

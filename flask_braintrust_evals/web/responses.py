"""JSON answers, errors included: ``{"error": "<what is wrong and what to do>"}``.

Written by our own serialiser: the application's, behind ``jsonify``, may sort keys (and with them
a form's parameters) or be anything else.
"""

from __future__ import annotations

import logging
from typing import Any

from flask import Response
from werkzeug.exceptions import HTTPException

from flask_braintrust_evals.errors import EvalsError, MethodNotAllowedError, TooManyRunsError
from flask_braintrust_evals.serialization import dumps

logger = logging.getLogger("flask_braintrust_evals")


def json_response(value: Any, status: int = 200) -> Response:
    """Answer with a value."""
    return Response(dumps(value) + "\n", status, content_type="application/json")


def error_response(error: EvalsError) -> Response:
    """Answer one of our own exceptions with its text and its status."""
    if error.status >= 500:
        logger.warning("answered with status %d: %s", error.status, error)
    response = json_response({"error": str(error)}, error.status)
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, TooManyRunsError):
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def http_exception_response(error: HTTPException) -> Response:
    """Answer an exception of werkzeug's, such as the ``abort`` of an application's own hook."""
    original = error.get_response()
    response = json_response({"error": f"{error.name}: {error.description}"}, original.status_code)
    for name, value in original.headers:
        if name.lower() not in ("content-type", "content-length"):
            response.headers.add(name, value)
    return response


def unexpected_error_response(error: Exception) -> Response:
    """Answer anything else, without a word of what it was."""
    logger.error("unexpected error", exc_info=error)
    return json_response({"error": "the server failed for a reason of its own; see its log"}, 500)
